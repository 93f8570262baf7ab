"""The events of one answer by number, within a bound of bytes. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

BLOCK = 64 * 1024
"""Most bytes that are handed out at once, unless one frame is larger."""


class EventLog:
    """Frames numbered from 1. The oldest are dropped when ``most_bytes`` are exceeded."""

    __slots__ = ("_frames", "_most_bytes", "added_bytes", "dropped", "ended", "held_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._frames: deque[bytes] = deque()
        self.dropped = 0
        """Number of the last frame that was dropped."""
        self.held_bytes = 0
        self.added_bytes = 0
        """Bytes of all frames so far, dropped ones included."""
        self.ended = False

    @property
    def last(self) -> int:
        """Number of the last frame; 0 before the first."""
        return self.dropped + len(self._frames)

    def add(self, frames: Iterable[bytes]) -> None:
        """Append ``frames``."""
        for frame in frames:
            self._frames.append(frame)
            self.held_bytes += len(frame)
            self.added_bytes += len(frame)
        self.shrink(self._most_bytes)

    def shrink(self, most_bytes: int) -> None:
        """Drop the oldest frames, but not the last one, until at most ``most_bytes`` are held."""
        while self.held_bytes > most_bytes and len(self._frames) > 1:
            self._drop()

    def forget(self, number: int) -> None:
        """Drop the frames up to ``number``."""
        while self._frames and self.dropped < number:
            self._drop()

    def has(self, number: int) -> bool:
        """Whether everything after ``number`` is still there, or yet to come."""
        return number >= self.dropped

    def bytes_after(self, number: int) -> int:
        """Return the size of the frames after ``number``."""
        return sum(map(len, islice(self._frames, max(0, number - self.dropped), None)))

    def after(self, number: int, most_bytes: int = BLOCK) -> list[bytes]:
        """Return the frames after ``number``, at least one if there is any, up to ``most_bytes``."""
        found: list[bytes] = []
        size = 0
        for frame in islice(self._frames, max(0, number - self.dropped), None):
            size += len(frame)
            if found and size > most_bytes:
                break
            found.append(frame)
        return found

    def _drop(self) -> None:
        self.held_bytes -= len(self._frames.popleft())
        self.dropped += 1
