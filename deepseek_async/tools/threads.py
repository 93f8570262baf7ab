"""The threads in which functions run that are not async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from anyio import CapacityLimiter

T = TypeVar("T")


class ToolThreads:
    """At most ``size`` threads at once, of their own: the event loop's default executor also looks up names.

    Serves several event loops, each with threads of its own.
    """

    def __init__(self, size: int = 40) -> None:
        self._size = size
        self._limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, CapacityLimiter] = WeakKeyDictionary()

    async def run(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, which must not raise. It sees the caller's context variables.

        A function that blocks cannot be stopped: who is cancelled leaves it alone in its thread.
        """
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  who calls no functions need not load it

        loop = asyncio.get_running_loop()
        limiter = self._limiters.get(loop)
        if limiter is None:
            limiter = self._limiters[loop] = CapacityLimiter(self._size)
        return await to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)
