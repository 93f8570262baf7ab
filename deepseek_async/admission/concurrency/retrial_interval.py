"""Reconsideration of a costly choice: half as often each time, because a trial costs attempts too. Pure."""

from __future__ import annotations


class RetrialInterval:
    """Counts evidence against a choice."""

    __slots__ = ("_enough", "_met")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Reset after a new choice."""
        self._met = self._enough = 0

    def met(self) -> None:
        """Record a wasted attempt."""
        self._met += 1

    def is_due(self, least: int = 0) -> bool:
        """Whether the evidence has doubled since the last trial and is at least ``least``."""
        return self._met >= max(self._enough, least)

    def acted(self) -> None:
        """Record a new trial."""
        self._enough = 2 * self._met
