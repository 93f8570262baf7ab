"""How many retries of a model may still be made, so that retries never multiply the load of an outage. Pure."""

from __future__ import annotations

from typing import Final

RESERVE: Final = 10
"""Retries, one after another, that need no success between them."""


class RetryCredit:
    """Retries left while nothing succeeds; whatever succeeds fills it.

    A share of a fifth for each success, as Finagle has it, would starve a job of which 40 % are turned away, though it
    makes progress; how many attempts such a server gets is the window's business.
    """

    __slots__ = ("_taken", "balance")

    def __init__(self) -> None:
        self.balance = RESERVE
        """Retries that may be made now."""
        self._taken = 0

    def earn(self, taken: int | None = None) -> None:
        """A call succeeded; or the server has taken on so many by now, which counts if they have become more."""
        if taken is None or taken > self._taken:
            self.balance = RESERVE
        self._taken = self._taken if taken is None else taken

    def spend(self) -> bool:
        """Take one retry; False, and nothing taken, if there is none."""
        if not self.balance:
            return False
        self.balance -= 1
        return True
