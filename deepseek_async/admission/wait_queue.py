"""The queue of attempts that wait for admission: first come, first served, with a share kept for interactive calls."""

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
"""Part of the window that interactive calls are served first in, when bulk waits too."""

_SHORTEST_TIMER: Final = 0.001
"""Seconds; timers tick in about a millisecond, and one set for the past would spin."""


def with_look_ahead(window: int) -> int:
    """Rows that bulk keeps under way for a window: all of it, and enough to follow at once as it grows."""
    return max(window, _SMALLEST) + max(8, window // 4)


_SMALLEST: Final = 32
"""Where a window starts; asked before there is one."""

_ticket_of = attrgetter("ticket")


class _Waiter(msgspec.Struct, gc=False, eq=False):
    ticket: int
    turn: asyncio.Future[Any]


class WaitQueue:
    """Grants attempts one waiter at a time, by name, as the admission policy lets them pass.

    A waiter that is cancelled after its turn came passes it on: losing it in that window is the usual leak of
    home-made semaphores. One timer serves the whole queue for what changes by time alone.
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
        """Bulk callers in the queue."""
        return len(self._bulk)

    @property
    def waiting_interactive(self) -> int:
        """Interactive callers in the queue."""
        return len(self._interactive)

    @property
    def running_interactive(self) -> int:
        """Interactive attempts that run."""
        return self._interactive_running

    def take_nowait(self, now: float, *, bulk: bool = False) -> Any:
        """Start an attempt if one may start and nobody waits; None otherwise."""
        if self._bulk or self._interactive or not self.policy.may_start(now, bulk=bulk):
            return None
        if not bulk:
            self._interactive_running += 1
        return self.policy.start(now)

    async def take(self, ticket: int, *, bulk: bool = False) -> Any:
        """Wait for an attempt to start. A lower ``ticket`` is served first, so a requeued call keeps its place."""
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
                with suppress(ValueError):  # serve may have passed over it already
                    lane.remove(waiter)
                self._stop_idle_timer()
            raise

    def freed(self, now: float, *, bulk: bool) -> None:
        """An attempt has ended."""
        if not bulk:
            self._interactive_running -= 1
        if self._bulk or self._interactive:
            self.serve(now)

    def moved(self, now: float) -> None:
        """The window may have grown."""
        if self._bulk or self._interactive:
            self.serve(now)

    def serve(self, now: float) -> None:
        """Start what may start now, and set the timer for what may start later."""
        policy = self.policy
        while (self._bulk or self._interactive) and policy.may_start(now, bulk=bool(self._bulk)):
            lane = self._next_lane()
            waiter = lane.popleft()
            if waiter.turn.done():
                continue  # cancelled, and its task has not run yet
            if lane is self._interactive:
                self._interactive_running += 1
            waiter.turn.set_result(policy.start(now))
        self._set_timer(now)

    def dismiss(self, error: Callable[[], Exception], *, bulk: bool) -> None:
        """Give every interactive waiter an error instead of a turn; with ``bulk`` the others too."""
        for lane in (self._interactive, self._bulk) if bulk else (self._interactive,):
            while lane:
                waiter = lane.popleft()
                if not waiter.turn.done():
                    waiter.turn.set_exception(error())
        self._stop_idle_timer()

    def _next_lane(self) -> deque[_Waiter]:
        """Interactive calls first within their share; beyond it whoever came first."""
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
                return  # it will look again
            self._timer.cancel()
        # Kept here, because a timer of uvloop that is due at once is a handle without a time.
        self._due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _stop_idle_timer(self) -> None:
        if self._timer is not None and not self._bulk and not self._interactive:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self.serve(self._loop.time())
