"""Growth of the limit over time. Never in bursts: the response to a new slot arrives a round trip later."""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency.slow_start import BEYOND

LONGEST_STEP: Final = 0.25
"""Maximum growth time in seconds per update; a caller that asks less often has no use for more slots."""
_SHORTEST_STEP: Final = 0.005

START: Final = 32
"""Maximum initial concurrency before anything is known."""
FIRST_STEP: Final = 1 / 400
"""Seconds per new slot at the start."""
_DOUBLING: Final = 1.5
"""Doubling time in seconds without a known ceiling, if the server does not signal admissions."""
_UNHEARD: Final = 45.0
"""Maximum new slots per second in that case while the limit may be anything: within a round trip of 0.3 s hardly more
are sent than may be refused. Applies up to the lower published limit."""
_FASTEST: Final = 200.0
"""Maximum new slots per second in every case; each may need a new connection."""
_RETURN_SHARE: Final = 0.1
"""Growth per second towards the known ceiling, as a share of it."""
_SLOW_SHARE: Final = 0.004
_SLOWEST: Final = 0.5
"""Growth per second just above the ceiling: a share of the limit, but at least this many slots."""
_NEAR: Final = 1.02
"""Factor above the known ceiling up to which growth stays slow. Slots in transit are 1 to 3 % of the limit, so a
refusal arrives within that range if the limit has not risen."""
_ACCELERATION: Final = 2.0
_FAST_SHARE: Final = 0.25
"""Above that, growth doubles each second up to this share of the limit per second."""


class Growth:
    """Growth phases of the limit."""

    __slots__ = ("_at", "_rate", "ceiling", "until")

    def __init__(self, now: float) -> None:
        self.ceiling: float | None = None
        """Size at which the server last refused, if known."""
        self.until = math.inf
        """Size at which growth ends even without a refusal."""
        self._rate = 0.0
        self._at = now

    def begin(self, now: float, *, until: float = math.inf) -> None:
        """Start a phase from zero speed."""
        self._at = now
        self._rate = 0.0
        self.until = until

    def pause(self, now: float) -> None:
        """Skip the time up to ``now`` without growth."""
        self._at = now

    def at_start(self, size: float) -> bool:
        """Whether nothing is known yet and ``size`` is still small."""
        return self.ceiling is None and size < START

    def grown(self, size: float, now: float, *, unheard: bool = False) -> float:
        """Return the size at ``now``; ``unheard``: no signal confirmed that the attempts in flight were accepted."""
        passed = min(now - self._at, LONGEST_STEP)
        self._at = now
        most = _UNHEARD if unheard and size < BEYOND else _FASTEST
        self._rate = self._rate_at(size, passed, most)
        if self.at_start(size):
            return max(size, min(self.until, START, size + self._rate * passed))
        return max(size, min(self.until, size + self._rate * passed))

    def next_slot(self, size: float, now: float) -> float:
        """Return when ``size`` reaches the next integer."""
        missing = math.floor(size) + 1 - size
        return now + min(LONGEST_STEP, max(_SHORTEST_STEP, missing / self._rate))

    def _rate_at(self, size: float, passed: float, most: float) -> float:
        if self.at_start(size):
            return 1 / FIRST_STEP
        if self.ceiling is None:
            return min(size * math.log(2) / _DOUBLING, most)
        slow = max(_SLOWEST, _SLOW_SHARE * size)
        if size < self.ceiling:
            return max(slow, _RETURN_SHARE * size)
        if size <= _NEAR * self.ceiling:
            return slow
        fastest = max(slow, min(_FAST_SHARE * size, most))
        return min(max(slow, self._rate) * math.pow(_ACCELERATION, passed), fastest)
