"""Why a line is no training row."""

from __future__ import annotations


class RejectedLineError(Exception):
    """Why a line is no training row. ``kind`` is a word to count by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
