"""Off-peak scheduling: start times of rows that avoid peak prices and meet a deadline. Pure.

DeepSeek does not document whether the start or the end of a request determines its price, so both should be
off-peak: nothing is started within a typical request's duration of the next peak hours.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from deepseek_async.pricing.prices import PriceTable

_FIRST_GUESS: Final = 60.0
"""Assumed duration of a request, in seconds, before any has finished: answers of a thinking model take 10 s to
several minutes (public measurements, August 2026)."""

_KEPT: Final = 128
_HIGH: Final = 0.9
_SAFETY: Final = 1.25
"""Safety factor on the remaining time: a deadline matters more than a discount."""


class OffPeak:
    """Off-peak hours, as far as ``deadline`` allows. Times are in seconds since 1970."""

    def __init__(self, prices: PriceTable, deadline: float | None = None) -> None:
        self._prices = prices
        self._deadline = deadline

    def opening(self, now: float, *, margin: float, needed: float) -> float:
        """Return the earliest time, ``now`` or later, at which a request may start.

        ``margin`` is the typical duration of a request, ``needed`` the time for the rest of the job; if the off-peak
        hours before the deadline do not suffice, peak hours are used too, from now on.
        """
        start = self._next_start(now, margin)
        if start > now and self._deadline is not None and self._open_seconds(now, margin) < needed * _SAFETY:
            return now
        return start

    def closing(self, now: float, *, margin: float) -> float:
        """Return the time until which requests may start without asking again."""
        change = self._prices.next_change(now)
        return now if self._prices.is_peak(now) else max(now, change - margin)

    def _next_start(self, now: float, margin: float) -> float:
        start = now
        # At most twice: out of these peak hours, or out of the last minutes before them and then them.
        if not self._prices.is_peak(start):
            change = self._prices.next_change(start)
            if change - start >= margin:
                return start
            start = change
        return self._prices.next_change(start) if self._prices.is_peak(start) else start

    def _open_seconds(self, now: float, margin: float) -> float:
        """Return the seconds until the deadline in which requests may start."""
        assert self._deadline is not None  # noqa: S101  callers check
        total, at = 0.0, now
        while at < self._deadline:
            change = min(self._prices.next_change(at), self._deadline)
            if not self._prices.is_peak(at):
                total += max(0.0, change - at - margin)
            at = change
        return total


class Durations:
    """Typical request duration, from the last 128 requests."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_KEPT)
        self._typical = _FIRST_GUESS
        self._added = 0

    def add(self, seconds: float) -> None:
        """Add the duration of a request."""
        self._last.append(seconds)
        self._added += 1
        # Sorted only occasionally; the first ones count immediately.
        if self._added % 64 == 0 or self._added <= 16:
            ordered = sorted(self._last)
            self._typical = ordered[int(_HIGH * (len(ordered) - 1))]

    @property
    def typical(self) -> float:
        """The 90th percentile of recent durations; 60 s while there are none."""
        return self._typical
