"""Overload signals. They suspend growth; only frequent failures shrink the limit.

Latency alone never lowers the limit below a measured ceiling: answer lengths vary more than queueing delays.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import accumulate
from typing import Final

_MEMORY: Final = 100
"""Attempts over which the failure rate is averaged."""
_SUSPENDS: Final = 0.05
_SHRINKS: Final = 0.20
_SHRINKS_EVERY: Final = 10.0
_NEGLIGIBLE: Final = 1e-4

_SPAN: Final = 30.0
"""Seconds per interval of first-content latencies."""
_SPANS: Final = 20
"""Intervals of the reference period: the last ten minutes."""
_SLOWER: Final = 3.0
_FEWEST: Final = 20
"""Minimum number of first contents for a meaningful median."""
_STEPS: Final = 8
"""Histogram classes per doubling of latency: the median is accurate to 9 %."""
_CLASSES: Final = 20 * _STEPS
_SHORTEST: Final = 2.0**-8


class FailureShare:
    """Recent share of attempts that failed with an overload signal."""

    __slots__ = ("_shrank_at", "share")

    def __init__(self) -> None:
        self.share = 0.0
        self._shrank_at = -math.inf

    def ended(self, overload: bool) -> None:
        """Record the end of an attempt. May be skipped for a success while ``share`` is 0."""
        self.share += ((1.0 if overload else 0.0) - self.share) / _MEMORY
        if self.share < _NEGLIGIBLE:
            self.share = 0.0

    @property
    def suspends(self) -> bool:
        """Whether growth is suspended."""
        return self.share >= _SUSPENDS

    def shrinks(self, now: float) -> bool:
        """Whether to shrink by one step now; true at most once in ten seconds."""
        if self.share < _SHRINKS or now - self._shrank_at < _SHRINKS_EVERY:
            return False
        self._shrank_at = now
        return True


class FirstContents:
    """Detects a threefold increase of the time to first token."""

    __slots__ = ("_all", "_ends_at", "_slow", "_span", "_spans")

    def __init__(self) -> None:
        self._slow = False
        self._span = [0] * _CLASSES
        self._spans: deque[list[int]] = deque()
        self._all = [0] * _CLASSES
        self._ends_at = -math.inf

    def slow(self, now: float) -> bool:
        """Whether the increase is present. Expires after half a minute without data."""
        return self._slow and now < self._ends_at + _SPAN

    def came_after(self, seconds: float, now: float) -> None:
        """Record a time to first token in seconds."""
        if now >= self._ends_at:
            self._turn(now)
        doublings = math.log2(max(seconds, _SHORTEST) / _SHORTEST)
        self._span[min(_CLASSES - 1, int(doublings * _STEPS))] += 1

    def _turn(self, now: float) -> None:
        silent = now >= self._ends_at + _SPAN
        recent = self._span
        before = _median(self._all)
        now_median = _median(recent)
        self._slow = not silent and now_median is not None and before is not None and now_median > _SLOWER * before
        self._spans.append(recent)
        self._all = [known + new for known, new in zip(self._all, recent, strict=True)]
        if len(self._spans) > _SPANS:
            forgotten = self._spans.popleft()
            self._all = [known - old for known, old in zip(self._all, forgotten, strict=True)]
        self._span = [0] * _CLASSES
        self._ends_at = now + _SPAN


def _median(counts: list[int]) -> float | None:
    total = sum(counts)
    if total < _FEWEST:
        return None
    middle = next(index for index, seen in enumerate(accumulate(counts)) if 2 * seen >= total)
    return _SHORTEST * math.exp2(middle / _STEPS)
