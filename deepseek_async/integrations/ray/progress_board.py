"""Where the parts of a job on a cluster say how far they are, and read whether they are to go on: an actor."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from deepseek_async.batch.progress import Progress


class Word(IntEnum):
    """What the parts are to do."""

    GO_ON = 0
    FINISH = 1
    """Start no more rows."""
    CANCEL = 2
    """Give up what is in flight."""


class Notice(msgspec.Struct, frozen=True):
    """Is read by all parts."""

    word: Word = Word.GO_ON
    reason: str = ""


class Board:
    """Of every attempt at a part the latest progress. A new one in the place of one that was lost learns it anew."""

    def __init__(self) -> None:
        self._notice = Notice()
        self._told: dict[int, dict[str, Progress]] = {}

    def tell(self, part: int, attempt: str, progress: Progress | None) -> Notice:
        """A part says how far it is."""
        if progress is not None:
            self._told.setdefault(part, {})[attempt] = progress
        return self._notice

    def look(self, notice: Notice) -> dict[int, dict[str, Progress]]:
        """Who drives the job looks how far the parts are, and says what they are to do. Attempts in their order."""
        self._notice = notice
        return self._told
