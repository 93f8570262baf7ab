"""The rows that an output has lines of, and where each stands in the input of the latest run. Pure."""

from __future__ import annotations

from array import array
from typing import Final

from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.identity import key_of
from deepseek_async.batch.run_record import Manifest

UNKNOWN: Final = -1
"""Another program wrote the line, and it does not say where the row stands."""
GONE: Final = -2
"""The latest run did not ask for the row any more, or for something else under its id."""


class KnownRows:
    """Rows by the keys of their names, numbered as they come; 30 to 62 bytes each.

    Feed it every line in the order of the file: of several for one row, the last one counts.
    """

    def __init__(self, expected: int = 0) -> None:
        numbers = DigestMap(expected)
        self._enter = numbers.setdefault
        self.number = numbers.get
        """The number of the row of a key; None if there is no line of it."""
        self.positions = array("q")
        """By the number of the row: its place in the input from 0, or UNKNOWN, or GONE."""

    def __len__(self) -> int:
        return len(self.positions)

    def line(self, key: int, position: int) -> int:
        """Take in a line; returns the row's number, which is the number of rows before for a row that is new."""
        positions = self.positions
        number = self._enter(key, len(positions))
        if number == len(positions):
            positions.append(position)
        else:
            positions[number] = position
        return number

    def line_with(self, manifest: Manifest, key: int, position: int, *, restated: bool) -> int:
        """As ``line``, for one that holds a manifest, which speaks of the rows before the line.

        Where the row of a restated line stands was said before, or is said by the manifest.
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
        if number is not None:  # its line may have been damaged since
            self.positions[number] = position
