"""How fast a window grows by time. Never a burst: the answer to a new slot comes a round trip later."""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency.slow_start import BEYOND

LONGEST_STEP: Final = 0.25
"""Seconds of growth that one look at the clock may add. Whoever asks less often has no use for more slots."""
_SHORTEST_STEP: Final = 0.005

START: Final = 32
"""Attempts at once before anything is known, at most."""
FIRST_STEP: Final = 1 / 400
"""Seconds for each new slot at the start."""
_DOUBLING: Final = 1.5
"""Seconds in which a window without a known ceiling doubles, if the server tells nothing of what it takes."""
_UNHEARD: Final = 45.0
"""New slots a second then, at most, as long as the limit may be any: in a round trip of 0.3 s hardly more are sent than
may be refused. Beyond the lower published limit ..."""
_FASTEST: Final = 200.0
"""... and anyway at most; each may be a new connection."""
_RETURN_SHARE: Final = 0.1
"""Growth up to the known ceiling, a second."""
_SLOW_SHARE: Final = 0.004
_SLOWEST: Final = 0.5
"""Growth just above it, a second: a share of the window, but at least this many slots."""
_NEAR: Final = 1.02
"""How far above the known ceiling growth stays slow. The slots on the way are 1 to 3 % of a window, so a refusal comes
before that if the limit has not risen."""
_ACCELERATION: Final = 2.0
_FAST_SHARE: Final = 0.25
"""Beyond, growth doubles each second up to this share of the window a second."""


class Growth:
    """One stretch of growth after another."""

    __slots__ = ("_at", "_rate", "ceiling", "until")

    def __init__(self, now: float) -> None:
        self.ceiling: float | None = None
        """The size at which the server last refused, if it is known."""
        self.until = math.inf
        """The size at which growth ends without a refusal."""
        self._rate = 0.0
        self._at = now

    def begin(self, now: float, *, until: float = math.inf) -> None:
        """Start from rest."""
        self._at = now
        self._rate = 0.0
        self.until = until

    def pause(self, now: float) -> None:
        """Let the time up to now pass without growth."""
        self._at = now

    def at_start(self, size: float) -> bool:
        """Whether nothing is known yet, and ``size`` is still small."""
        return self.ceiling is None and size < START

    def grown(self, size: float, now: float, *, unheard: bool = False) -> float:
        """The size after the time since the last look; ``unheard`` if nothing has told that what runs was taken."""
        passed = min(now - self._at, LONGEST_STEP)
        self._at = now
        most = _UNHEARD if unheard and size < BEYOND else _FASTEST
        self._rate = self._rate_at(size, passed, most)
        if self.at_start(size):
            return max(size, min(self.until, START, size + self._rate * passed))
        return max(size, min(self.until, size + self._rate * passed))

    def next_slot(self, size: float, now: float) -> float:
        """When ``size`` will have reached the next whole number."""
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
