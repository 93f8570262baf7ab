"""A text that comes in pieces. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.text.unicode import joined


class Pieces(msgspec.Struct, gc=False):
    """A text that comes in pieces, joined when asked for, at a cost that grows with its length alone.

    The latest are kept apart. A piece of a few characters takes 60 bytes, which adds up over a thousand streams.
    """

    latest: list[str] = []
    earlier: list[str] = []

    def add(self, piece: str) -> None:
        """Take a piece in."""
        self.latest.append(piece)
        if len(self.latest) > MOST_APART:
            self.pack()

    def pack(self) -> None:
        """Join the latest, and none that were joined before: those would be copied again and again."""
        self.earlier.append("".join(self.latest))
        self.latest.clear()

    def __bool__(self) -> bool:
        """Whether anything has come."""
        return bool(self.latest or self.earlier)

    @property
    def size(self) -> int:
        """Characters."""
        return sum(map(len, self.earlier)) + sum(map(len, self.latest))

    def ends_with(self, end: str) -> bool:
        """Whether the latest piece ends with it, blanks aside."""
        latest = self.latest or self.earlier
        return bool(latest) and latest[-1].rstrip().endswith(end)

    @property
    def text(self) -> str:
        """All of it."""
        return joined("".join(self.earlier) + "".join(self.latest))


MOST_APART: Final = 256
"""Pieces kept apart."""
