"""Split into training and validation rows by a digest of the question, so that no question is on both sides. Pure."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Final

_PLACES: Final = 1 << 16


class Split:
    """Builds a histogram of questions, then selects a threshold.

    All rows of a question have the same position between 0 and 1, derived from the seed; those below the threshold
    are for validation. The threshold is where their share is closest to the wanted one. Memory is constant.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._key = seed.to_bytes(16, "big", signed=True)
        self._rows = array("Q", bytes(8 * _PLACES))
        self._line = 0

    def count(self, question: bytes) -> None:
        """Count a row."""
        self._rows[self._place(question)] += 1

    def draw(self) -> None:
        """Select the threshold, after all rows were counted."""
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
