"""Concurrent execution of the tool calls of one turn; every call gets a result, whatever its function does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.tools.function import FunctionTool
from deepseek_async.tools.result import failure_text, raised_text
from deepseek_async.types import ToolCall

_GRACE: Final = 1.0
"""Seconds a cancelled function has to finish; some take longer, or never do."""

_LEFT: Final[set[asyncio.Task[CallOutcome]]] = set()
"""Abandoned calls that are still running."""


class CallOutcome(msgspec.Struct, frozen=True):
    """Outcome of a call."""

    text: str
    """Result or error message for the model."""
    interrupt: KeyboardInterrupt | None = None
    """KeyboardInterrupt of the function: the program should exit."""


async def call_all(
    calls: Sequence[ToolCall],
    known: Mapping[str, FunctionTool],
    threads: WorkerThreads,
    *,
    timeout: float | None = None,
    most: int | None = None,
) -> list[CallOutcome]:
    """Return the outcomes of all calls, in order. Raises CancelledError only if the caller was cancelled.

    Each call has its own task, so that a cancellation inside a function ends only that call. A call fails after
    ``timeout`` seconds; a function that ignores its cancellation is abandoned. Calls beyond the first ``most`` are not
    executed.
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
    not_made = CallOutcome(failure_text(f"not executed: at most {most} calls per turn; call again for the others"))
    return [_end_of(task, timeout) for task in tasks] + [not_made] * (len(calls) - len(made))


def _end_of(task: asyncio.Task[CallOutcome], timeout: float | None) -> CallOutcome:
    if not task.done():
        return _late(timeout)
    # A function that cancels its own task and returns leaves the task without a result.
    return CallOutcome(failure_text("CancelledError: ")) if task.cancelled() else task.result()


def _late(timeout: float | None) -> CallOutcome:
    return CallOutcome(failure_text(f"no result after {timeout:g} s"))


def _leave(task: asyncio.Task[CallOutcome]) -> None:
    """Cancel ``task``. If it keeps running, hold a reference to it: the event loop has only a weak one."""
    task.cancel()
    if not task.done():
        _LEFT.add(task)
        task.add_done_callback(_LEFT.discard)


async def _call(
    call: ToolCall,
    tool: FunctionTool | None,
    names: Sequence[str],
    threads: WorkerThreads,
    timeout: float | None,
) -> CallOutcome:
    """Return the result, or an error from which the model can correct the call."""
    if tool is None:
        return CallOutcome(
            failure_text(f"unknown function {call.function.name!r}; available: {', '.join(names)}"),
        )
    scope = asyncio.timeout(timeout)
    try:
        async with scope:
            return CallOutcome(await tool.answer(call.function.arguments, threads))
    except KeyboardInterrupt as error:
        return CallOutcome(failure_text(raised_text(error)), error)
    except BaseException as error:  # noqa: BLE001  a function may raise anything; it must not end the run
        if isinstance(error, TimeoutError) and scope.expired():
            return _late(timeout)
        return CallOutcome(failure_text(raised_text(error)))
