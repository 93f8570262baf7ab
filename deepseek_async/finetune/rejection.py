"""Rejection of a training line."""

from __future__ import annotations


class RejectedLineError(Exception):
    """A line is not a valid training row. ``kind`` is the category counted in the summary."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
