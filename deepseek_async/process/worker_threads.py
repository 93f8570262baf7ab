"""Worker threads for blocking work, apart from the event loop's default executor, which also resolves host names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from anyio import CapacityLimiter

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class WorkerThreads:
    """At most ``size`` threads at once on each event loop that uses them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, CapacityLimiter] = WeakKeyDictionary()

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """Run ``function`` in a thread, with the caller's context variables, and return its result.

        A blocked function cannot be stopped: on cancellation its thread is abandoned.
        """
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  loaded only if threads are used

        loop = asyncio.get_running_loop()
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = CapacityLimiter(self._size)
        return await to_thread.run_sync(function, *arguments, abandon_on_cancel=True, limiter=limiter)


FILE_THREADS: Final = WorkerThreads(32)
"""Threads that wait for the disk: files, databases, tables. As many as asyncio's own executor has at most."""
