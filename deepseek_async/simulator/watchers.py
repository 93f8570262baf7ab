"""Tests that wait until the statistics meet a condition, on the simulator's event loop or on another thread's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deepseek_async.simulator.request_log import SimulatorStatistics

Condition = Callable[[SimulatorStatistics], bool]


class Watchers:
    """Conditions that are evaluated whenever something changes."""

    def __init__(self, now: Callable[[], SimulatorStatistics]) -> None:
        self._now = now
        self._waiting: list[tuple[Condition, asyncio.Future[None]]] = []

    async def until(self, condition: Condition) -> None:
        """Return when ``condition`` holds."""
        met = asyncio.get_running_loop().create_future()
        watcher = (condition, met)
        self._waiting.append(watcher)
        try:
            # After it is registered: the simulator may run on another thread, and change in between.
            if not condition(self._now()):
                await met
        finally:
            self._waiting.remove(watcher)

    def changed(self) -> None:
        """Evaluate all conditions."""
        if not self._waiting:
            return
        now = self._now()
        for condition, met in list(self._waiting):
            if not met.done() and condition(now):
                loop = met.get_loop()
                if loop is asyncio.get_running_loop():
                    met.set_result(None)
                elif not loop.is_closed():
                    loop.call_soon_threadsafe(_complete, met)


def _complete(met: asyncio.Future[None]) -> None:
    if not met.done():
        met.set_result(None)
