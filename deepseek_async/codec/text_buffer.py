"""Text buffer for a text that arrives in pieces. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.text.unicode import joined


class Pieces(msgspec.Struct, gc=False):
    """Text buffer, joined on demand, in time linear in its length.

    The latest pieces are kept separate. A piece of a few characters takes 60 bytes, which adds up over a thousand
    streams.
    """

    latest: list[str] = []
    earlier: list[str] = []

    def add(self, piece: str) -> None:
        """Append a piece."""
        self.latest.append(piece)
        if len(self.latest) > MOST_APART:
            self.pack()

    def pack(self) -> None:
        """Join the latest pieces, without copying what was joined before."""
        self.earlier.append("".join(self.latest))
        self.latest.clear()

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return bool(self.latest or self.earlier)

    @property
    def size(self) -> int:
        """Number of characters."""
        return sum(map(len, self.earlier)) + sum(map(len, self.latest))

    def ends_with(self, end: str) -> bool:
        """Whether the latest piece ends with ``end``, trailing whitespace aside."""
        latest = self.latest or self.earlier
        return bool(latest) and latest[-1].rstrip().endswith(end)

    @property
    def text(self) -> str:
        """The complete text."""
        return joined("".join(self.earlier) + "".join(self.latest))


MOST_APART: Final = 256
"""Pieces kept separate."""
