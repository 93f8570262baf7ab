"""Queue of calls waiting for retry credit, which successes earn."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.outage.retry_credit import RetryCredit
from deepseek_async.errors import APIError

_LONE_RETRY: Final = 1.0
"""Seconds between retries without credit, made only while no other attempt of the model runs: credit comes from
successes, so without them waiting rows would wait forever."""


class RetryQueue:
    """Serialises the retries of one model while there is no credit.

    ``taken(now)`` returns how many attempts the server has accepted lately, which earns credit too; ``is_idle()``
    returns whether no attempt runs or waits to start.
    """

    __slots__ = ("_is_idle", "_last_lone_retry", "_loop", "_taken", "_timer", "_waiters", "credit")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, taken: Callable[[float], int], is_idle: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._taken = taken
        self._is_idle = is_idle
        self.credit: Final = RetryCredit()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._last_lone_retry = -_LONE_RETRY

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._waiters)

    def spend(self, now: float) -> bool:
        """Take credit for one retry; False if there is none."""
        if self.credit.spend():
            return True
        self.credit.earn(self._taken(now))
        return self.credit.spend()

    async def wait_until(self, until: float | None) -> bool:
        """Wait for retry credit, for batch work. False if it is not available before ``until``."""
        try:
            async with asyncio.timeout_at(until):
                await self.wait()
        except TimeoutError:
            return False
        return True

    async def wait(self) -> None:
        """Wait for retry credit."""
        if not self._waiters and self._may_go():
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(turn)
        if self._timer is None:
            self._timer = self._loop.call_later(_LONE_RETRY, self._on_timer)
        try:
            await turn
        finally:
            if not turn.done() or turn.cancelled():
                if turn in self._waiters:
                    self._waiters.remove(turn)
                self._stop_idle_timer()

    def succeeded(self) -> None:
        """Record a success, which earns credit and may release waiting calls."""
        self.credit.earn()
        if self._waiters:
            self.release()

    def release(self) -> None:
        """Release all waiting calls: the service answers again."""
        self.credit.earn()
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
        self._stop_idle_timer()

    def dismiss(self, error: APIError) -> None:
        """Fail all waiting calls with a copy of ``error``."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_exception(copy.copy(error))
        self._stop_idle_timer()

    def _may_go(self) -> bool:
        now = self._loop.time()
        if self.spend(now):
            return True
        if self._is_idle() and now - self._last_lone_retry >= _LONE_RETRY:
            self._last_lone_retry = now
            return True
        return False

    def _on_timer(self) -> None:
        self._timer = None
        waiters = self._waiters
        while waiters:
            if waiters[0].done():
                waiters.popleft()
            elif self._may_go():
                waiters.popleft().set_result(None)
            else:
                break
        if waiters:
            self._timer = self._loop.call_later(_LONE_RETRY, self._on_timer)

    def _stop_idle_timer(self) -> None:
        if self._timer is not None and not self._waiters:
            self._timer.cancel()
            self._timer = None
