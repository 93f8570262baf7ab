"""The calls of one turn, side by side: whatever a function does, each call has an end that the model is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from deepseek_async.tools.function import FunctionTool
from deepseek_async.tools.result import failure_text, raised_text
from deepseek_async.tools.threads import ToolThreads
from deepseek_async.types import ToolCall

_GRACE: Final = 1.0
"""Seconds that a function has to end in once it is cancelled. It may do a lot then, or not end at all."""

_LEFT: Final[set[asyncio.Task[Called]]] = set()
"""Calls that were given up and have not ended."""


class Called(msgspec.Struct, frozen=True):
    """How a call ended."""

    text: str
    """What the model is told."""
    interrupt: KeyboardInterrupt | None = None
    """Raised by the function: the program is to end."""


async def call_all(
    calls: Sequence[ToolCall],
    known: Mapping[str, FunctionTool],
    threads: ToolThreads,
    *,
    timeout: float | None = None,
    most: int | None = None,
) -> list[Called]:
    """The ends of all calls, in their order. Raises CancelledError, and only when the caller was cancelled.

    Each call has a task of its own, so that a cancellation inside a function ends that call and not the caller. A call
    that takes longer than ``timeout`` seconds has failed; a function that goes on all the same is left alone. Calls
    after the first ``most`` are not made.
    """
    names = list(known)
    made = calls if most is None else calls[:most]
    tasks = [asyncio.create_task(_call(call, known.get(call.function.name), names, threads, timeout)) for call in made]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=None if timeout is None else timeout + _GRACE)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_GRACE)
        raise
    finally:
        for task in tasks:
            _leave(task)
    not_made = Called(failure_text(f"not called: at most {most} calls are made in one turn; ask again for the others"))
    return [_end_of(task, timeout) for task in tasks] + [not_made] * (len(calls) - len(made))


def _end_of(task: asyncio.Task[Called], timeout: float | None) -> Called:
    if not task.done():
        return _late(timeout)
    # A function that cancels its own task and returns leaves a task without a result.
    return Called(failure_text("CancelledError: ")) if task.cancelled() else task.result()


def _late(timeout: float | None) -> Called:
    return Called(failure_text(f"no result after {timeout:g} s"))


def _leave(task: asyncio.Task[Called]) -> None:
    """Give ``task`` up. What does not end although it is cancelled is kept until it does: the loop does not hold it."""
    task.cancel()
    if not task.done():
        _LEFT.add(task)
        task.add_done_callback(_LEFT.discard)


async def _call(
    call: ToolCall,
    tool: FunctionTool | None,
    names: Sequence[str],
    threads: ToolThreads,
    timeout: float | None,
) -> Called:
    """The result, or what went wrong, so that the model can do better."""
    if tool is None:
        return Called(
            failure_text(f"there is no function {call.function.name!r}; there are: {', '.join(names)}"),
        )
    scope = asyncio.timeout(timeout)
    try:
        async with scope:
            return Called(await tool.answer(call.function.arguments, threads))
    except KeyboardInterrupt as error:
        return Called(failure_text(raised_text(error)), error)
    except BaseException as error:  # noqa: BLE001  a function may raise anything, and none of it may end the run
        if isinstance(error, TimeoutError) and scope.expired():
            return _late(timeout)
        return Called(failure_text(raised_text(error)))
