"""May the next attempt to a model start now? Pause, breakers, descriptors and window as one question. Pure."""

from __future__ import annotations

from typing import Any, Final

from deepseek_async.admission.concurrency_limit import ConcurrencyLimit
from deepseek_async.admission.outage.breaker import Breaker, State

DESCRIPTOR_RESERVE: Final = 32
"""Files left to the rest of the process when it may open no more."""

_DESCRIPTOR_MEMORY: Final = 60.0
"""Seconds for which running out of descriptors is remembered."""

_CLOSED: Final = State.CLOSED


class AdmissionPolicy:
    """Every attempt to a model passes here, one after another."""

    __slots__ = ("_most", "_most_until", "breakers", "paused_until", "window")

    def __init__(self, window: ConcurrencyLimit, breakers: tuple[Breaker, ...] = ()) -> None:
        self.window: Final = window
        self.breakers: Final = breakers
        self.paused_until = -float("inf")
        """Nothing starts before: what the server asked of all calls to the model."""
        self._most: int | None = None
        self._most_until = 0.0

    def may_start(self, now: float, *, bulk: bool = False) -> bool:
        """Whether an attempt may start; ``bulk`` if nobody waits for it."""
        if now < self.paused_until:
            return False
        for breaker in self.breakers:
            # Asked first without a call: each attempt comes by here, and nearly always both are closed.
            if breaker.state is not _CLOSED and not breaker.admits(now, bulk=bulk):
                return False
        if self._most is not None and not self._below_most(now):
            return False
        return self.window.may_send(now)

    def next_change(self, now: float, *, bulk: bool = False) -> float | None:
        """When to ask again if nothing else happens; None if only an event can change the answer."""
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
        """An attempt starts; returns what names it."""
        attempt = self.window.sent(now)
        for breaker in self.breakers:
            if breaker.state is not _CLOSED:
                breaker.began(attempt, now)
        return attempt

    def give_up(self, attempt: Any, now: float) -> None:
        """An attempt ended without saying anything about the other side."""
        self.window.ended(attempt, now)
        for breaker in self.breakers:
            breaker.ended(attempt)

    def pause(self, until: float) -> None:
        """Start nothing before ``until``."""
        self.paused_until = max(self.paused_until, until)

    def out_of_descriptors(self, now: float) -> None:
        """This process may open no more files: for a while use fewer than are open now."""
        self._most = max(1, self.window.in_flight - DESCRIPTOR_RESERVE)
        self._most_until = now + _DESCRIPTOR_MEMORY
        self.pause(now + 1.0)

    def _below_most(self, now: float) -> bool:
        if self._most is None or now >= self._most_until:
            self._most = None
            return True
        return self.window.in_flight < self._most
