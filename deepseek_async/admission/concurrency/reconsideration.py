"""When a choice that wastes attempts is tried anew: half as often each time, as each trial wastes some too. Pure."""

from __future__ import annotations


class Reconsideration:
    """Counts what speaks against a choice."""

    __slots__ = ("_enough", "_met")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another choice was made."""
        self._met = self._enough = 0

    def met(self) -> None:
        """One more attempt was wasted."""
        self._met += 1

    def is_due(self, least: int = 0) -> bool:
        """Whether there is twice as much as the last time, and at least so much."""
        return self._met >= max(self._enough, least)

    def acted(self) -> None:
        """It is tried anew."""
        self._enough = 2 * self._met
