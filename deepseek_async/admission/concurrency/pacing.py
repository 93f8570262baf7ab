"""The rate at which a server takes attempts, found by being turned away as rarely as possible.

A bucket that fills evenly is empty whenever it refuses. So the attempts taken between two refusals, over the time
between them, are its rate, however large it is; that is what a refusal teaches. Between refusals the rate is raised
halfway towards the one that was refused, and then kept.
"""

from __future__ import annotations

import math
from typing import Final

_SOON: Final = 0.25
"""Part of the gap after which a refused attempt is followed by another: it came too early by a little."""
_SLOWER: Final = 1.03
"""By how much a refusal widens the gap, at least."""
_NONE_TAKEN: Final = 2.0
"""By how much it does when nothing was taken since the one before."""
_FASTER: Final = 0.97
"""What remains of the gap after a step, when it is not known where the limit is."""
_CLOSE: Final = 1.03
"""A gap this near to one that was refused is kept ..."""
_STEP: Final = 0.05
"""What an attempt that is refused adds to the gap, where a refusal costs nothing but itself."""
_REFUSED: Final = 0.11
"""One that is taken takes so much off that this share is refused, beyond the share that is whatever the pace: so the
limit is used however unevenly attempts arrive at it."""
_MOST_REFUSED: Final = 0.9
_KEPT: Final = (40, 20.0)
"""... for so many attempts and seconds; then it is tried again whether the limit has moved."""
_REST: Final = 3
"""Attempts that are taken at a new gap before it is narrowed."""


class Pacing:
    """The least time between the starts of two attempts."""

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
        """An attempt starts."""
        self.due = now + self.gap

    def taken(self, now: float) -> None:
        """The server has taken one."""
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
        """The server has turned one away that was sent at this pace."""
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
