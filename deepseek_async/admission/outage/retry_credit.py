"""Retry credit: a bound on retries, so that they never multiply the load of an outage. Pure."""

from __future__ import annotations

from typing import Final

RESERVE: Final = 10
"""Retries that may be made without a success in between."""


class RetryCredit:
    """Retries left without a success; each success refills it.

    Earning a fifth per success, as Finagle does, would starve a job of which 40 % are rejected, although it makes
    progress; the concurrency limit controls how many attempts such a server gets.
    """

    __slots__ = ("_taken", "balance")

    def __init__(self) -> None:
        self.balance = RESERVE
        """Retries available now."""
        self._taken = 0

    def earn(self, taken: int | None = None) -> None:
        """Refill on a success, or if ``taken``, the number of accepted attempts, has grown."""
        if taken is None or taken > self._taken:
            self.balance = RESERVE
        self._taken = self._taken if taken is None else taken

    def spend(self) -> bool:
        """Take one retry; False if there is none."""
        if not self.balance:
            return False
        self.balance -= 1
        return True
