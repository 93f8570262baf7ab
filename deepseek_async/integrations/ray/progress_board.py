"""Progress board of a job on a cluster: an actor that collects progress and publishes the stop state."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from deepseek_async.batch.progress import Progress


class RunState(IntEnum):
    """State published to the parts."""

    GO_ON = 0
    FINISH = 1
    """Start no more rows."""
    CANCEL = 2
    """Cancel rows in flight."""


class Notice(msgspec.Struct, frozen=True):
    """Message read by all parts."""

    word: RunState = RunState.GO_ON
    reason: str = ""


class ProgressBoard:
    """The latest progress of every attempt at a part. A replacement for a lost board is filled by later reports."""

    def __init__(self) -> None:
        self._notice = Notice()
        self._told: dict[int, dict[str, Progress]] = {}

    def tell(self, part: int, attempt: str, progress: Progress | None) -> Notice:
        """Record a part's progress and return the current notice."""
        if progress is not None:
            self._told.setdefault(part, {})[attempt] = progress
        return self._notice

    def look(self, notice: Notice) -> dict[int, dict[str, Progress]]:
        """Publish ``notice`` and return the progress of all parts, attempts in order; called by the driver."""
        self._notice = notice
        return self._told
