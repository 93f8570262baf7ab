"""Summary of a preparation."""

from __future__ import annotations

from typing import Final

import msgspec

RECOMMENDED_ROWS: Final = 10_000
RECOMMENDED_SHARE: Final = (0.10, 0.15)


class Rejection(msgspec.Struct, frozen=True):
    """A line that is not a valid training row."""

    line: int
    """Starts at 1."""
    kind: str
    """json, shape, role, order, empty, tools, calls, too_long or duplicate."""
    message: str


class Summary(msgspec.Struct, kw_only=True):
    """Results of validating and splitting a file of dialogues."""

    source: str
    train_file: str
    validation_file: str
    lines: int = 0
    """Non-blank lines."""
    train_rows: int = 0
    validation_rows: int = 0
    rejected: dict[str, int] = {}
    """Rejected lines by kind."""
    examples: list[Rejection] = []
    """The first rejections of each kind."""
    tokens: int = 0
    """Estimated tokens of all rows."""
    longest_tokens: int = 0
    longest_line: int = 0

    @property
    def rows(self) -> int:
        """Rows of both files."""
        return self.train_rows + self.validation_rows

    @property
    def wrong(self) -> int:
        """Invalid lines; duplicates do not count."""
        return sum(number for kind, number in self.rejected.items() if kind != "duplicate")

    @property
    def validation_share(self) -> float:
        """Actual fraction of validation rows."""
        return self.validation_rows / self.rows if self.rows else 0.0

    @property
    def warnings(self) -> list[str]:
        """Problems that do not prevent training but may degrade it."""
        said = []
        if self.rows < RECOMMENDED_ROWS:
            said.append(f"{self.rows:,} rows are few: at least {RECOMMENDED_ROWS:,} are recommended")
        low, high = RECOMMENDED_SHARE
        if self.rows and not low <= self.validation_share <= high:
            said.append(
                f"{self.validation_share:.1%} of the rows are for validation; {low:.0%} to {high:.0%} are recommended",
            )
        return said
