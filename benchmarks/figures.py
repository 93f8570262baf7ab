"""What the repeats of a run say together: medians, ranges and ratios."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Spread:
    """A median and its range."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Self | None:
        """The spread of these values, None if there are none."""
        return cls(statistics.median(values), min(values), max(values)) if values else None

    def text(self, decimals: int, scale: float = 1) -> str:
        """As ``median (lowest to highest)``, or one number where they do not differ."""
        middle, low, high = (f"{value * scale:,.{decimals}f}" for value in (self.median, self.lowest, self.highest))
        return middle if low == high else f"{middle} ({low} to {high})"


@dataclass(frozen=True, order=True)
class Row:
    """One line of a table: a contestant, with the loop and case it ran in."""

    contestant: str
    loop: str
    case: str


class Figures:
    """The runs of one scenario."""

    def __init__(self, runs: list[dict[str, Any]], scenario: str) -> None:
        self._runs = [run for run in runs if run["scenario"] == scenario]

    def rows(self) -> list[Row]:
        """Every row that was tried, in the order of its first try."""
        return list(dict.fromkeys(_row(run) for run in self._runs))

    def failure(self, row: Row) -> str | None:
        """Why some run of this row gave no figures."""
        failures = (run["failure"] for run in self._runs if _row(run) == row and "failure" in run)
        return next(failures, None)

    def values(self, row: Row, key: str) -> dict[int, float]:
        """One figure of a row, by repeat."""
        return {
            run["repeat"]: run["figures"][key]
            for run in self._runs
            if _row(run) == row and key in run.get("figures", {})
        }

    def spread(self, row: Row, key: str) -> Spread | None:
        """One figure of a row over all repeats."""
        return Spread.of(list(self.values(row, key).values()))

    def ratio(self, row: Row, key: str, other: Row) -> Spread | None:
        """A row's figure over another row's, taken within each repeat: the machine changes between them."""
        mine, theirs = self.values(row, key), self.values(other, key)
        return Spread.of([mine[repeat] / theirs[repeat] for repeat in mine.keys() & theirs.keys()])


def _row(run: dict[str, Any]) -> Row:
    return Row(run["contestant"], run["loop"], run["case"])
