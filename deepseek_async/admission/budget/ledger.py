"""One day's money in one process: allotted, reserved, spent. Pure.

Amounts are whole nano-dollars, because a thousand additions of a thousandth must make one.
"""

from __future__ import annotations

from typing import Final

import msgspec

NANO: Final = 1_000_000_000
"""Nano-dollars in a dollar. The cheapest token, read from the prefix cache, costs three."""


def nano(dollars: float) -> int:
    """``dollars``, not negative, in nano-dollars, rounded to the nearest."""
    return int(dollars * NANO + 0.5)


class Ledger(msgspec.Struct):
    """What this process may spend on one day. Never lets ``spent + reserved`` pass ``allotted`` by a reservation."""

    day: str
    allotted: int = 0
    """Taken out of the day's cap for this process; what it has spent is part of it."""
    reserved: int = 0
    """Held for calls under way."""
    spent: int = 0

    @property
    def free(self) -> int:
        """What may still be reserved. Negative when calls cost more than was reserved for them."""
        return self.allotted - self.spent - self.reserved

    def reserve(self, amount: int) -> bool:
        """Hold ``amount`` for a call; False if it is not there."""
        reserved = self.reserved + amount
        if self.spent + reserved > self.allotted:
            return False
        self.reserved = reserved
        return True

    def settle(self, amount: int, used: int) -> None:
        """A call for which ``amount`` was held has cost ``used``."""
        self.reserved -= amount
        self.spent += used

    def keep_only(self, ahead: int) -> int:
        """Lower the allotment to what is spent and reserved and ``ahead`` more; returns the new allotment."""
        self.allotted = min(self.allotted, self.spent + self.reserved + ahead)
        return self.allotted


def granted(*, wanted: int, least: int, remaining: int, sharers: int) -> int:
    """How much of ``remaining`` a process gets that has use for ``wanted`` and needs ``least`` to go on.

    Never so much that the others would have to stop while it holds money it may not need: what goes beyond
    ``least`` is at most a sixteenth of an equal share of what is left.
    """
    if least > remaining:
        return 0
    return max(least, min(wanted, remaining // (16 * max(1, sharers))))
