"""Thread pool for synchronous tool functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from anyio import CapacityLimiter

T = TypeVar("T")


class ToolThreads:
    """At most ``size`` dedicated threads: the event loop's default executor is also used for DNS lookups.

    Shared by several event loops, each with its own threads.
    """

    def __init__(self, size: int = 40) -> None:
        self._size = size
        self._limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, CapacityLimiter] = WeakKeyDictionary()

    async def run(self, function: Callable[[], T]) -> T:
        """Run ``function``, which must not raise, in a thread with the caller's context variables.

        A blocked function cannot be stopped: on cancellation its thread is abandoned.
        """
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  loaded only if synchronous functions are used

        loop = asyncio.get_running_loop()
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = CapacityLimiter(self._size)
        return await to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)
