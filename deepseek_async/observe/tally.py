"""Counters and histograms in plain Python, cheaper than prometheus_client. Pure."""

from __future__ import annotations

from bisect import bisect_left

import msgspec


class Count(msgspec.Struct):
    """Counter with labels."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = {}

    def add(self, key: tuple[str, ...], number: float = 1) -> None:
        """Add ``number`` to the counter with the label values ``key``."""
        values = self.values
        values[key] = values.get(key, 0) + number


class Buckets(msgspec.Struct):
    """Histogram buckets for one combination of labels."""

    bounds: tuple[float, ...]
    counts: list[int]
    """Count per bucket, not cumulative; the last one is above all bounds."""
    total: float = 0.0

    def add(self, value: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the cumulative count for each upper bound."""
        found, below = [], 0
        for bound, count in zip((*map(_text, self.bounds), "+Inf"), tuple(self.counts), strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class Histogram(msgspec.Struct):
    """Histogram with labels."""

    name: str
    about: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()
    spreads: dict[tuple[str, ...], Buckets] = {}

    def spread(self, *key: str) -> Buckets:
        """Return the buckets for the label values ``key``; callers may keep it to save the look-up."""
        found = self.spreads.get(key)
        if found is None:
            found = self.spreads[key] = Buckets(self.bounds, [0] * (len(self.bounds) + 1))
        return found


def _text(bound: float) -> str:
    return str(float(bound))
