"""Counts and sums, kept in plain Python: counting must cost less than what is counted. Pure."""

from __future__ import annotations

from bisect import bisect_left

import msgspec


class Count(msgspec.Struct):
    """A number for each combination of labels."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = {}

    def add(self, key: tuple[str, ...], number: float = 1) -> None:
        """Add ``number`` for the labels' values in ``key``."""
        values = self.values
        values[key] = values.get(key, 0) + number


class Spread(msgspec.Struct):
    """How values are spread over buckets, for one combination of labels."""

    bounds: tuple[float, ...]
    counts: list[int]
    """Of each bucket by itself, and of what is above the last bound."""
    total: float = 0.0

    def add(self, value: float) -> None:
        """Take ``value`` in."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """For each upper bound, how many values are at or below it."""
        found, below = [], 0
        for bound, count in zip((*map(_text, self.bounds), "+Inf"), tuple(self.counts), strict=True):
            below += count
            found.append((bound, float(below)))
        return found


class Histogram(msgspec.Struct):
    """A spread for each combination of labels."""

    name: str
    about: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()
    spreads: dict[tuple[str, ...], Spread] = {}

    def spread(self, *key: str) -> Spread:
        """The spread for the labels' values in ``key``; keep it, to save the look-up."""
        found = self.spreads.get(key)
        if found is None:
            found = self.spreads[key] = Spread(self.bounds, [0] * (len(self.bounds) + 1))
        return found


def _text(bound: float) -> str:
    return str(float(bound))
