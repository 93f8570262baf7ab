"""FIFO queue of attempts waiting for admission, with a share reserved for interactive calls."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final

import msgspec

from deepseek_async.admission.admission_policy import AdmissionPolicy

INTERACTIVE_SHARE: Final = 0.1
"""Share of the concurrency limit in which interactive calls have priority over batch work."""

_SHORTEST_TIMER: Final = 0.001
"""Seconds; timers have a resolution of about a millisecond, and a timer in the past would spin."""


def with_look_ahead(window: int) -> int:
    """Return the number of batch rows to keep in progress: the limit plus enough to fill it at once as it grows."""
    return max(window, _SMALLEST) + max(8, window // 4)


_SMALLEST: Final = 32
"""Initial size of a limit, used before one exists."""

_ticket_of = attrgetter("ticket")


class _Waiter(msgspec.Struct, gc=False, eq=False):
    ticket: int
    turn: asyncio.Future[Any]


class WaitQueue:
    """Grants attempts to one waiter at a time, as the admission policy allows.

    A waiter cancelled after it was granted its slot passes the slot on; losing it in that window is the usual leak of
    home-made semaphores. A single timer serves the whole queue.
    """

    __slots__ = ("_bulk", "_due", "_interactive", "_interactive_running", "_loop", "_timer", "policy")

    def __init__(self, policy: AdmissionPolicy, loop: asyncio.AbstractEventLoop) -> None:
        self.policy: Final = policy
        self._loop = loop
        self._interactive: deque[_Waiter] = deque()
        self._bulk: deque[_Waiter] = deque()
        self._interactive_running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return len(self._interactive) + len(self._bulk)

    @property
    def waiting_bulk(self) -> int:
        """Batch callers in the queue."""
        return len(self._bulk)

    @property
    def waiting_interactive(self) -> int:
        """Interactive callers in the queue."""
        return len(self._interactive)

    @property
    def running_interactive(self) -> int:
        """Interactive attempts in flight."""
        return self._interactive_running

    def take_nowait(self, now: float, *, bulk: bool = False) -> Any:
        """Start an attempt if one may start and nobody waits, else return None."""
        if self._bulk or self._interactive or not self.policy.may_start(now, bulk=bulk):
            return None
        if not bulk:
            self._interactive_running += 1
        return self.policy.start(now)

    async def take(self, ticket: int, *, bulk: bool = False) -> Any:
        """Wait for an attempt to start. Lower ``ticket`` first, so that a requeued call keeps its place."""
        waiter = _Waiter(ticket, self._loop.create_future())
        lane = self._bulk if bulk else self._interactive
        if lane and ticket < lane[-1].ticket:
            lane.insert(bisect_left(lane, ticket, key=_ticket_of), waiter)
        else:
            lane.append(waiter)
        self.serve(self._loop.time())
        try:
            return await waiter.turn
        except BaseException:
            turn = waiter.turn
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                now = self._loop.time()
                self.policy.give_up(turn.result(), now)
                self.freed(now, bulk=bulk)
            else:
                with suppress(ValueError):  # serve may have removed it already
                    lane.remove(waiter)
                self._stop_idle_timer()
            raise

    def freed(self, now: float, *, bulk: bool) -> None:
        """Record the end of an attempt."""
        if not bulk:
            self._interactive_running -= 1
        if self._bulk or self._interactive:
            self.serve(now)

    def moved(self, now: float) -> None:
        """Record that the limit may have grown."""
        if self._bulk or self._interactive:
            self.serve(now)

    def serve(self, now: float) -> None:
        """Start what may start now, and set the timer for the next time-based change."""
        policy = self.policy
        while (self._bulk or self._interactive) and policy.may_start(now, bulk=bool(self._bulk)):
            lane = self._next_lane()
            waiter = lane.popleft()
            if waiter.turn.done():
                continue  # cancelled, but its task has not run yet
            if lane is self._interactive:
                self._interactive_running += 1
            waiter.turn.set_result(policy.start(now))
        self._set_timer(now)

    def dismiss(self, error: Callable[[], Exception], *, bulk: bool) -> None:
        """Fail every interactive waiter; with ``bulk`` the batch waiters too."""
        for lane in (self._interactive, self._bulk) if bulk else (self._interactive,):
            while lane:
                waiter = lane.popleft()
                if not waiter.turn.done():
                    waiter.turn.set_exception(error())
        self._stop_idle_timer()

    def _next_lane(self) -> deque[_Waiter]:
        """Return the interactive queue within its share; beyond it, FIFO over both."""
        interactive, bulk = self._interactive, self._bulk
        if not bulk:
            return interactive
        if not interactive:
            return bulk
        if self._interactive_running < max(1.0, INTERACTIVE_SHARE * self.policy.window.size):
            return interactive
        return interactive if interactive[0].ticket < bulk[0].ticket else bulk

    def _set_timer(self, now: float) -> None:
        if not self._bulk and not self._interactive:
            self._stop_idle_timer()
            return
        due = self.policy.next_change(now, bulk=bool(self._bulk))
        if due is None:
            return
        due = max(due, now + _SHORTEST_TIMER)
        if self._timer is not None:
            if self._due <= due:
                return  # the pending timer is early enough
            self._timer.cancel()
        # Stored, because a uvloop timer that is due at once is a handle without a time.
        self._due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _stop_idle_timer(self) -> None:
        if self._timer is not None and not self._bulk and not self._interactive:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self.serve(self._loop.time())
