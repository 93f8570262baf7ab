"""How many retries a scope may still make, so that retries never multiply the load of an outage. Pure."""

from __future__ import annotations

from typing import Final

from deepseek_async.admission.outage.recent import LastMinute

RESERVE: Final = 10.0
"""Retries that need no success before them."""

PER_SUCCESS: Final = 0.2
"""Retries that each success pays for: extra attempts stay below a fifth of the traffic (as in Finagle)."""


class RetryCredit:
    """Starts with the reserve; a success adds a fifth of a retry; never above what the last minute's successes pay."""

    __slots__ = ("_balance", "_successes")

    def __init__(self) -> None:
        self._balance = RESERVE
        self._successes = LastMinute()

    def earn(self, now: float) -> None:
        """A call succeeded."""
        self._successes.add(now)
        self._balance += PER_SUCCESS

    def balance(self, now: float) -> float:
        """Retries that may be made now."""
        most = RESERVE + PER_SUCCESS * self._successes.total(now)
        self._balance = min(self._balance, most)
        # Fifths do not add up to whole numbers exactly.
        return round(self._balance, 6)

    def spend(self, now: float) -> bool:
        """Take one retry; False, and nothing taken, if there is none."""
        if self.balance(now) < 1:
            return False
        self._balance -= 1
        return True

    def refill(self) -> None:
        """The outage is over: the reserve is there again."""
        self._balance = max(self._balance, RESERVE)
