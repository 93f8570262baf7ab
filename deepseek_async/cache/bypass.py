"""When to leave a tier alone. Pure: time comes in as an argument."""

from __future__ import annotations

import math
from typing import Final

SLOW: Final = 0.05
"""Seconds after which a tier counts as failed: a cache must not take longer than the call that it saves."""

_PAUSE: Final = 30.0


class Bypass:
    """A tier that failed or was slow is not asked for 30 s, then once more."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._known = False

    def active(self, now: float) -> bool:
        """Whether the tier is to be left alone."""
        return now < self._until

    def begin(self, now: float) -> bool:
        """The tier has failed. Returns whether this is news: False until it has worked again."""
        news, self._known = not self._known, True
        self._until = max(self._until, now + _PAUSE)
        return news

    def end(self) -> None:
        """The tier works."""
        self._until = -math.inf
        self._known = False

    def begin_for_good(self) -> None:
        """The tier will not come back by itself."""
        self._until = math.inf
