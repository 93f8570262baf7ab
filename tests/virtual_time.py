"""Time that passes only while nothing happens: an hour takes as long as what happens in it.

For tests of what a time does: a wait, a rate, a deadline. They take no time to wait, and come out the same on any
machine, because whatever takes CPU takes none of this time. Loop and sockets are the real ones.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

ON_ITS_WAY = 0.001
"""Seconds of real time for bytes in the kernel, before nothing is held to be happening."""


class VirtualTime:
    """Takes the place of a loop's clock: moves on to the next timer when there is nothing else to do.

    Work in threads of an executor counts as something that happens; child processes and other threads do not.
    """

    def __init__(self, loop: asyncio.SelectorEventLoop) -> None:
        self.now = loop.time()
        self._in_threads = 0
        self._selector: selectors.BaseSelector = loop._selector  # type: ignore[attr-defined]
        self._run_in_executor = loop.run_in_executor
        loop._selector = self  # type: ignore[attr-defined]
        loop.time = self.time  # type: ignore[method-assign]
        loop.run_in_executor = self.run_in_executor  # type: ignore[method-assign, assignment]

    def time(self) -> float:
        return self.now

    def run_in_executor(self, *arguments: Any) -> asyncio.Future[Any]:
        self._in_threads += 1
        working = self._run_in_executor(*arguments)
        working.add_done_callback(self._back)
        return working

    def _back(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._selector.select(timeout)
        happened = self._selector.select(None if self._in_threads else ON_ITS_WAY)
        if not happened:
            self.now += timeout
        return happened

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._selector, name)
        return method
