"""Admission decision for one model: pause, breakers, file descriptors and concurrency limit combined. Pure."""

from __future__ import annotations

from typing import Any, Final

from deepseek_async.admission.concurrency_limit import ConcurrencyLimit
from deepseek_async.admission.outage.breaker import Breaker, State

DESCRIPTOR_RESERVE: Final = 32
"""File descriptors reserved for the rest of the process after it ran out of them."""

_DESCRIPTOR_MEMORY: Final = 60.0
"""Seconds for which the lower cap applies after running out of descriptors."""

_CLOSED: Final = State.CLOSED


class AdmissionPolicy:
    """Decides whether the next attempt to a model may start."""

    __slots__ = ("_most", "_most_until", "breakers", "paused_until", "window")

    def __init__(self, window: ConcurrencyLimit, breakers: tuple[Breaker, ...] = ()) -> None:
        self.window: Final = window
        self.breakers: Final = breakers
        self.paused_until = -float("inf")
        """Time before which no attempt starts, as requested by the server."""
        self._most: int | None = None
        self._most_until = 0.0

    def may_start(self, now: float, *, bulk: bool = False) -> bool:
        """Whether an attempt may start; ``bulk`` for batch work."""
        if now < self.paused_until:
            return False
        for breaker in self.breakers:
            # Inline check: it runs on each attempt, and both breakers are nearly always closed.
            if breaker.state is not _CLOSED and not breaker.admits(now, bulk=bulk):
                return False
        if self._most is not None and not self._below_most(now):
            return False
        return self.window.may_send(now)

    def next_change(self, now: float, *, bulk: bool = False) -> float | None:
        """Return when to ask again if nothing else happens; None if only an event can change the answer."""
        blocked = self.paused_until
        for breaker in self.breakers:
            if not breaker.admits(now, bulk=bulk):
                blocked = max(blocked, breaker.next_change(now, bulk=bulk))
        if self._most is not None and not self._below_most(now):
            blocked = max(blocked, self._most_until)
        if blocked > now:
            return blocked
        return self.window.next_change(now)

    def start(self, now: float) -> Any:
        """Record the start of an attempt and return its handle."""
        attempt = self.window.sent(now)
        for breaker in self.breakers:
            if breaker.state is not _CLOSED:
                breaker.began(attempt, now)
        return attempt

    def give_up(self, attempt: Any, now: float) -> None:
        """Record an attempt that ended without evidence about the server."""
        self.window.ended(attempt, now)
        for breaker in self.breakers:
            breaker.ended(attempt)

    def pause(self, until: float) -> None:
        """Start nothing before ``until``."""
        self.paused_until = max(self.paused_until, until)

    def out_of_descriptors(self, now: float) -> None:
        """Record that the process ran out of file descriptors: lowers the cap for a while."""
        self._most = max(1, self.window.in_flight - DESCRIPTOR_RESERVE)
        self._most_until = now + _DESCRIPTOR_MEMORY
        self.pause(now + 1.0)

    def _below_most(self, now: float) -> bool:
        if self._most is None or now >= self._most_until:
            self._most = None
            return True
        return self.window.in_flight < self._most
