"""Which rows are for validation: the digest of the question decides, so that none is on both sides. Pure."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Final

_PLACES: Final = 1 << 16


class Split:
    """Learns how questions are spread, then draws one line through them.

    Rows of one question have one place between 0 and 1, chosen by the seed; those below the line are for
    validation. The line is where their share comes closest to the wanted one. Memory does not grow with rows.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._key = seed.to_bytes(16, "big", signed=True)
        self._rows = array("Q", bytes(8 * _PLACES))
        self._line = 0

    def count(self, question: bytes) -> None:
        """Notice a row."""
        self._rows[self._place(question)] += 1

    def draw(self) -> None:
        """Draw the line, when all rows have been noticed."""
        wanted = self._share * sum(self._rows)
        below, best = 0, wanted
        for place, rows in enumerate(self._rows):
            below += rows
            if rows and abs(below - wanted) < best:
                best, self._line = abs(below - wanted), place + 1
            elif below > wanted:
                break

    def is_validation(self, question: bytes) -> bool:
        """Whether a row is for validation."""
        return self._place(question) < self._line

    def _place(self, question: bytes) -> int:
        return int.from_bytes(blake2b(question, key=self._key, digest_size=2).digest(), "big")
