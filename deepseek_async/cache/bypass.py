"""Bypass of failing cache tiers. Pure: takes the time as an argument."""

from __future__ import annotations

import math
from typing import Final

SLOW: Final = 0.05
"""Seconds after which a tier counts as failed: a cache must not delay the call that it is to save."""

_PAUSE: Final = 30.0


class Bypass:
    """Bypasses a failed or slow tier for 30 s, then tries it again."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._known = False

    def active(self, now: float) -> bool:
        """Whether the tier is bypassed."""
        return now < self._until

    def begin(self, now: float) -> bool:
        """Record a failure. Returns True for the first failure since the tier last worked."""
        news, self._known = not self._known, True
        self._until = max(self._until, now + _PAUSE)
        return news

    def end(self) -> None:
        """Record a success."""
        self._until = -math.inf
        self._known = False

    def begin_for_good(self) -> None:
        """Disable the tier permanently."""
        self._until = math.inf
