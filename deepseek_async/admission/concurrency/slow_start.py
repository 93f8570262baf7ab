"""Slow start: the size before the first refusal, as a lead over the accepted attempts. Pure.

Like slow start of TCP (RFC 5681), it is clocked by acknowledgements and so as quick as the round trip is short. Unlike
TCP it does not double: everything in flight beyond the accepted number is refused if the limit lies there, and no
second should see more than 20 refusals, or one attempt in ten. The lead has that size. Where a published limit is
likelier than a value in between, the lead is a tenth of the attempts in flight, and growth stops at published limits.

A nearby server without any signal is the exception: waiting for its first answer would take too long.
"""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency_limit import Attempt

FEW: Final = 15
"""Minimum lead over the accepted attempts."""
_SHARE: Final = 0.085
"""Lead as a share of the attempts sent in the same second. Ended attempts are replaced, and some of these refused."""
_RELAXED: Final = 0.1
"""Lead as a share above the lower published limit: an account that gets so many most likely has the higher limit."""
_CAREFUL: Final = 0.03
"""Lead as a share around the lower published limit, the most likely limit."""
LIKELY: Final = 500
"""The lower published limit (DeepSeek docs, Rate Limit), at which a start waits until all attempts were accepted."""
_SURELY: Final = 1.12
"""Factor of a limit that attempts in flight exceed only if the limit is higher: attempts in transit are not counted."""
BEYOND: Final = _SURELY * LIKELY
_NEARBY: Final = 2200
"""Attempts per square second since the start, at a nearby server without any signal: it would most likely have refused
by now. With a nearby gateway and a refusal after 0.3 s, these are some 200 attempts, once."""
_GENTLY: Final = 0.05
"""Seconds over which the first of them are spread, because the limit may be very low."""


class SlowStart:
    """Lead over the accepted attempts. ``hint`` is the stored ceiling of an earlier run, if any."""

    __slots__ = (
        "_began",
        "_heard_at",
        "_heard_of",
        "_in_tick",
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
        """Whether it is the first start. Later ones follow an incident and are never a burst."""
        self.proven = 0
        """Attempts that were accepted concurrently."""
        self.paced = False
        """Whether the limit also grows by time: refusals occur independently of its size."""
        self.silent = False
        """Whether the server has given no signal of admissions so far."""
        self.last = 0
        """Last attempt sent before the start ended."""
        self._began: float | None = None
        self._second = now
        self._sent = 0
        self._heard_at = -math.inf
        self._heard_of = 0
        self._in_tick = 0  # attempts in flight with one both sent and accepted in the current tick of the clock
        self._stops: list[int] = sorted({LIKELY} if hint is None else {LIKELY, int(hint)})

    def again(self, size: float, *, stop: int | None = None, paced: bool = False) -> None:
        """Start again from ``size``, which is known to fit. More than ``stop`` were refused."""
        self.first = False
        self._in_tick = 0
        self.proven = int(size)
        self.paced = paced
        if stop is not None:
            self._stops = sorted({LIKELY, stop})

    def misled(self) -> None:
        """Discard inferred admissions after a late refusal; growth by time remains."""
        self.proven, self.paced = 0, True
        self._in_tick = 0

    def explains(self, attempt: Attempt, *, starting: bool) -> bool:
        """Whether the attempt belonged to the lead, so that its refusal only locates the limit."""
        burst = (starting and not self.paced) or attempt.number <= self.last
        return burst and attempt.beside > self.proven > 0

    def proves(self, attempt: Attempt, sent: int, now: float) -> bool:
        """Whether this admission proves that more fit; ``sent`` is the number of the last attempt sent.

        Admissions may be read late and in a batch; attempts sent because of some are not proven by the others. What was
        sent and accepted within one tick of the clock (uvloop: 1 ms, Windows: 15.6 ms) proves it when that is over.
        """
        if now != self._heard_at:
            self._heard_at, self._heard_of = now, sent
        if attempt.number <= self._heard_of:
            return attempt.beside >= self.proven
        self._in_tick = max(self._in_tick, attempt.beside)
        return False

    @property
    def waits_for_tick(self) -> bool:
        """Whether the next tick of the clock proves that more fit."""
        return self._in_tick > self.proven

    def ticked(self, now: float) -> bool:
        """Whether a tick has ended that proves that more fit."""
        if now == self._heard_at or not self.waits_for_tick:
            return False
        self.proven, self._in_tick = self._in_tick, 0
        return True

    def nearby(self, now: float) -> float:
        """Return the size while a nearby server gives no signal."""
        if self._began is None:
            self._began = now
            self.proven = max(1, self.proven)  # all others are sent unproven
        seconds = now - self._began
        return min(float(self._stops[0]), FEW * min(1.0, seconds / _GENTLY) + _NEARBY * seconds**2)

    def room(self, sent: int, now: float) -> float:
        """Return the size after ``proven`` were accepted and ``sent`` sent in all."""
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
