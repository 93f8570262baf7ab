"""Index of the rows in an output and their positions in the latest run's input. Pure."""

from __future__ import annotations

from array import array
from typing import Final

from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.row_identity import key_of
from deepseek_async.batch.run_record import Manifest

UNKNOWN: Final = -1
"""Position is unknown: another program wrote the line."""
GONE: Final = -2
"""The latest run's input does not contain the row, or has another request under its id."""


class ResumeIndex:
    """Rows by the hash of their names, numbered in order of appearance; 30 to 62 bytes each.

    Feed it every line in file order: of several for one row, the last one counts.
    """

    def __init__(self, expected: int = 0) -> None:
        numbers = DigestMap(expected)
        self._enter = numbers.setdefault
        self.number = numbers.get
        """Row number by key; None if the row has no line."""
        self.positions = array("q")
        """Position in the input by row number, from 0, or UNKNOWN or GONE."""

    def __len__(self) -> int:
        return len(self.positions)

    def line(self, key: int, position: int) -> int:
        """Add a line and return its row's number; a new row gets the next number."""
        positions = self.positions
        number = self._enter(key, len(positions))
        if number == len(positions):
            positions.append(position)
        else:
            positions[number] = position
        return number

    def line_with(self, manifest: Manifest, key: int, position: int, *, restated: bool) -> int:
        """Add a line that holds a manifest, which describes the rows before the line.

        The position of a restated row was recorded earlier, or is in the manifest.
        """
        number = self.number(key) if restated else None
        self._apply(manifest)
        return self.line(key, position) if number is None else number

    def _apply(self, manifest: Manifest) -> None:
        for name, position in zip(manifest.names, manifest.positions, strict=False):
            self._place(name, position)
        for name in manifest.gone:
            self._place(name, GONE)

    def _place(self, name: str, position: int) -> None:
        number = self.number(key_of(name.encode()))
        if number is not None:  # its line may be damaged by now
            self.positions[number] = position
