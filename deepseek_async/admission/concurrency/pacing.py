"""Pacing: finds the rate at which a server accepts attempts, with few refusals.

A token bucket that refills evenly is empty whenever it refuses. So the number of attempts accepted between two
refusals, divided by the time between them, is its rate, regardless of its size; that is what a refusal measures.
Between refusals the gap moves halfway towards the refused one and then stays.
"""

from __future__ import annotations

import math
from typing import Final

_SOON: Final = 0.25
"""Fraction of the gap after which a refused attempt is retried: it was slightly early."""
_SLOWER: Final = 1.03
"""Minimum factor by which a refusal widens the gap."""
_NONE_TAKEN: Final = 2.0
"""Factor if nothing was accepted since the previous refusal."""
_FASTER: Final = 0.97
"""Factor of the gap per step while the limit is unknown."""
_CLOSE: Final = 1.03
"""A gap within this factor of a refused one is kept."""
_STEP: Final = 0.05
"""Relative increase of the gap per refusal, where a refusal costs nothing but itself."""
_REFUSED: Final = 0.11
"""Target share of refusals beyond the baseline, which sets the decrease of the gap per admission: this uses up the
limit however unevenly attempts arrive at it."""
_MOST_REFUSED: Final = 0.9
_KEPT: Final = (40, 20.0)
"""Attempts and seconds for which such a gap is kept before testing whether the limit has changed."""
_REST: Final = 3
"""Admissions at a new gap before it is narrowed further."""


class Pacing:
    """Minimum time between the starts of two attempts."""

    __slots__ = (
        "_again",
        "_costly",
        "_faster",
        "_kept_until",
        "_refused_gap",
        "_rest",
        "_since",
        "_taken",
        "due",
        "gap",
        "longest",
    )

    def __init__(
        self, gap: float, now: float, *, longest: float = math.inf, costly: bool = False, floor: float = 0.0
    ) -> None:
        self.gap = min(gap, longest)
        """Seconds."""
        self.longest = longest
        self._costly = costly
        share = min(_MOST_REFUSED, floor + _REFUSED)
        self._faster = _STEP * share / (1 - share)
        self.due = now
        """When the next attempt may start."""
        self._refused_gap = 0.0
        self._since = now
        self._taken = 0
        self._again = False
        self._rest = _REST
        self._kept_until = now

    def started(self, now: float) -> None:
        """Record the start of an attempt."""
        self.due = now + self.gap

    def taken(self, now: float) -> None:
        """Record an admission."""
        self._taken += 1
        if self._refused_gap and not self._costly:
            self.gap *= 1 - self._faster
        elif self._rest > 0:
            self._rest -= 1
        elif self._refused_gap and self.gap <= _CLOSE * self._refused_gap:
            if now >= self._kept_until:
                self._refused_gap *= _FASTER**3
        elif self._refused_gap:
            self._narrow(math.sqrt(self.gap * self._refused_gap))
        else:
            self._narrow(self.gap * _FASTER)

    def refused(self, now: float) -> None:
        """Record a refusal at this pace."""
        self._refused_gap = max(self._refused_gap, self.gap)
        wait = 1.0
        if not self._taken:
            self.gap *= _NONE_TAKEN if self._again else _SLOWER
        elif self._costly:
            self.gap = max(self.gap * _SLOWER, (now - self._since) / self._taken)
            wait = _SOON
        else:
            self.gap *= 1 + _STEP
            wait = _SOON
        self.gap = min(self.gap, self.longest)
        self.due = now + self.gap * wait
        self._again = not self._taken
        self._since, self._taken = now, 0
        self._rest = _REST
        self._kept_until = now + _KEPT[1]
        if self.gap <= _CLOSE * self._refused_gap:
            self._rest = _KEPT[0]

    def _narrow(self, gap: float) -> None:
        self.gap = gap
        if self._refused_gap and gap <= _CLOSE * self._refused_gap:
            self._rest = _KEPT[0]
        else:
            self._rest = _REST if self._refused_gap else 0
