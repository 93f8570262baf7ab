"""How large a window may be before anything was refused: what was taken, and a few more. Pure.

As slow start of TCP does (RFC 5681), this grows by what the other side takes and not by a clock, so it is as quick as
the way is short. Unlike TCP it does not double: all that is in flight beyond what was taken is refused if the limit
lies there, and no second is to see more than 20 refusals, or one attempt in ten. So the lead is that large. Where a
published limit is likelier than one in between, it is a tenth of what runs; and it stops at those that are known.

A server nearby that says nothing at all is the exception: who waits for it there must not wait for its first answer.
"""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency_limit import Attempt

FEW: Final = 15
"""Attempts that may be in flight beyond what was taken, at least ..."""
_SHARE: Final = 0.085
"""... and this part of what was sent in the same second. What ends meanwhile is replaced, and some of that refused."""
_RELAXED: Final = 0.1
"""Of what runs, beyond the lower published limit: who may run so many most likely has all of the higher one."""
_CAREFUL: Final = 0.03
"""Of what runs, where that most likely is the limit."""
LIKELY: Final = 500
"""The lower one of the published limits (DeepSeek docs, Rate Limit), at which a start waits until all were taken."""
_SURELY: Final = 1.12
"""So many times a limit are in flight only if more may run: those that travel are not counted."""
BEYOND: Final = _SURELY * LIKELY
_NEARBY: Final = 2200
"""Attempts by the square of the seconds since the start, at a server nearby that has said nothing at all yet: it would
have refused by now, most likely. Where a gateway is near and a refusal takes 0.3 s, these are some 200, once."""
_GENTLY: Final = 0.05
"""Seconds in which the first of them come, because a limit may be of a few."""


class SlowStart:
    """The lead over what was taken. ``hint`` is the ceiling of an earlier run, if one is remembered."""

    __slots__ = (
        "_began",
        "_heard_at",
        "_heard_of",
        "_second",
        "_sent",
        "_stops",
        "first",
        "last",
        "paced",
        "proven",
        "silent",
    )

    def __init__(self, now: float, hint: float | None = None) -> None:
        self.first = True
        """Whether it is the first start of its window. A later one follows on trouble, and is never a burst."""
        self.proven = 0
        """As many in flight were taken at once."""
        self.paced = False
        """Whether the window grows by time all the same: others are refused whatever it does."""
        self.silent = False
        """Whether the server does not say what it takes, so far."""
        self.last = 0
        """The last attempt that was sent before the start ended."""
        self._began: float | None = None
        self._second = now
        self._sent = 0
        self._heard_at = -math.inf
        self._heard_of = 0
        self._stops: list[int] = sorted({LIKELY} if hint is None else {LIKELY, int(hint)})

    def again(self, size: float, *, stop: int | None = None, paced: bool = False) -> None:
        """Start from this size, because something is known. More than ``stop`` were refused."""
        self.first = False
        self.proven = int(size)
        self.paced = paced
        if stop is not None:
            self._stops = sorted({LIKELY, stop})

    def misled(self) -> None:
        """What counted as taken was refused, later: of what was taken nothing is known, and time alone is left."""
        self.proven, self.paced = 0, True

    def explains(self, attempt: Attempt, *, starting: bool) -> bool:
        """Whether that one belonged to the lead, so that its refusal only says where the limit is."""
        burst = (starting and not self.paced) or attempt.number <= self.last
        return burst and attempt.beside > self.proven > 0

    def proves(self, attempt: Attempt, sent: int, now: float) -> bool:
        """Whether more are known to fit, now that this one was taken; ``sent`` is the number of the last one sent.

        News may come late, and many at one time; then what is sent because of some is not proven by the others.
        """
        if now != self._heard_at:
            self._heard_at, self._heard_of = now, sent
        return attempt.number <= self._heard_of and attempt.beside >= self.proven

    def nearby(self, now: float) -> float:
        """The size while a server nearby says nothing."""
        if self._began is None:
            self._began = now
            self.proven = max(1, self.proven)  # all others are sent without a proof
        seconds = now - self._began
        return min(float(self._stops[0]), FEW * min(1.0, seconds / _GENTLY) + _NEARBY * seconds**2)

    def room(self, sent: int, now: float) -> float:
        """The size now that ``proven`` were taken and ``sent`` have been sent in all."""
        if now - self._second >= 1:
            self._second += int(now - self._second)
            self._sent = sent
        proven = self.proven
        lead = max(FEW, _SHARE * (sent - self._sent))
        if any(stop <= proven < _SURELY * stop for stop in self._stops):
            lead = max(1.0, _CAREFUL * proven)
        elif proven >= BEYOND:
            lead = max(lead, _RELAXED * proven)
        for stop in self._stops:
            if proven < stop:
                return min(proven + lead, max(stop, proven + 1))
        return proven + lead
