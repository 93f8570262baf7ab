"""The calls of one turn, side by side: whatever a function does, each call has an end that the model is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from deepseek_async.tools.function import FunctionTool
from deepseek_async.tools.result import failure_text, raised_text
from deepseek_async.tools.threads import ToolThreads
from deepseek_async.types import ToolCall


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
    timeout: float | None = None,
) -> list[Called]:
    """The ends of all calls, in their order. Raises CancelledError, and only when the caller was cancelled.

    Each call has a task of its own, so that a cancellation inside a function ends that call and not the caller. A call
    that takes longer than ``timeout`` seconds has failed; a function that blocks goes on in its thread, alone.
    """
    names = list(known)
    tasks = [asyncio.create_task(_call(call, known.get(call.function.name), names, threads, timeout)) for call in calls]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    finally:
        for task in tasks:
            task.cancel()
    # A function that cancels its own task and returns leaves a task without a result.
    return [Called(failure_text("CancelledError: ")) if task.cancelled() else task.result() for task in tasks]


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
            return Called(failure_text(f"no result after {timeout:g} s"))
        return Called(failure_text(raised_text(error)))
