"""Logarithmic histogram with a few hundred counters, whatever the number of values. Pure."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import msgspec

_STEPS: Final = 32
"""Counters per doubling: quantiles are accurate to 2 %."""
_MOST_BARS: Final = 32


class Bar(msgspec.Struct, frozen=True):
    """The values from ``low`` up to ``high``."""

    low: float
    high: float
    count: int


class Distribution:
    """Counts positive values on a logarithmic scale."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0
        self.longest = 0.0

    def add(self, value: float) -> None:
        """Count a value; values not above 0 are ignored."""
        if value <= 0 or not math.isfinite(value):
            return
        self._counts[math.floor(math.log2(value) * _STEPS)] += 1
        self.count += 1
        self.total += value
        self.longest = max(self.longest, value)

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the quantile for ``share``, from 0 to 1; 0 without values."""
        wanted, seen = share * self.count, 0
        for step in sorted(self._counts):
            seen += self._counts[step]
            if seen >= wanted:
                return min(2 ** ((step + 0.5) / _STEPS), self.longest)
        return 0.0

    def bars(self) -> list[Bar]:
        """Return at most 32 bars of equal width on the logarithmic scale, from the smallest value to the largest."""
        if not self._counts:
            return []
        first, last = min(self._counts), max(self._counts)
        width = -(-(last - first + 1) // _MOST_BARS)
        bars = []
        for start in range(first, last + 1, width):
            count = sum(self._counts[step] for step in range(start, start + width))
            bars.append(Bar(2 ** (start / _STEPS), 2 ** ((start + width) / _STEPS), count))
        return bars
