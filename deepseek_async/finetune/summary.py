"""What a preparation found and made."""

from __future__ import annotations

from typing import Final

import msgspec

RECOMMENDED_ROWS: Final = 10_000
RECOMMENDED_SHARE: Final = (0.10, 0.15)


class Rejection(msgspec.Struct, frozen=True):
    """A line that is no training row."""

    line: int
    """From 1."""
    kind: str
    """json, shape, role, order, empty, tools, calls, too_long or duplicate."""
    message: str


class Summary(msgspec.Struct, kw_only=True):
    """What became of the lines of a file of dialogues."""

    source: str
    train_file: str
    validation_file: str
    lines: int = 0
    """Lines that hold something."""
    train_rows: int = 0
    validation_rows: int = 0
    rejected: dict[str, int] = {}
    """How many lines are no rows, by kind."""
    examples: list[Rejection] = []
    """The first lines of each kind."""
    tokens: int = 0
    """Of all rows together, estimated."""
    longest_tokens: int = 0
    longest_line: int = 0

    @property
    def rows(self) -> int:
        """Rows of both files."""
        return self.train_rows + self.validation_rows

    @property
    def wrong(self) -> int:
        """Lines that have to be mended; duplicates are only left out."""
        return sum(number for kind, number in self.rejected.items() if kind != "duplicate")

    @property
    def validation_share(self) -> float:
        """The part of the rows that is for validation."""
        return self.validation_rows / self.rows if self.rows else 0.0

    @property
    def warnings(self) -> list[str]:
        """What will not stop a training but may spoil it."""
        said = []
        if self.rows < RECOMMENDED_ROWS:
            said.append(f"{self.rows:,} rows are few: {RECOMMENDED_ROWS:,} and more are recommended")
        low, high = RECOMMENDED_SHARE
        if self.rows and not low <= self.validation_share <= high:
            said.append(
                f"{self.validation_share:.1%} of the rows are for validation; {low:.0%} to {high:.0%} are recommended",
            )
        return said
