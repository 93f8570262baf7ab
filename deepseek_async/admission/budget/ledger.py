"""Ledger of one day in one process: allotted, reserved, spent. Pure.

Amounts are integer nano-dollars, so that a thousand times a thousandth is exactly one.
"""

from __future__ import annotations

from typing import Final

import msgspec

NANO: Final = 1_000_000_000
"""Nano-dollars per dollar. The cheapest token, read from the prefix cache, costs three."""


def nano(dollars: float) -> int:
    """Convert non-negative ``dollars`` to nano-dollars, rounded to nearest."""
    return int(dollars * NANO + 0.5)


class Ledger(msgspec.Struct):
    """Money of this process for one day. A reservation never makes ``spent + reserved`` exceed ``allotted``."""

    day: str
    allotted: int = 0
    """Allotted to this process out of the daily cap, spent money included."""
    reserved: int = 0
    """Reserved for calls in flight."""
    spent: int = 0

    @property
    def free(self) -> int:
        """Money available for reservations; negative if calls cost more than was reserved for them."""
        return self.allotted - self.spent - self.reserved

    def reserve(self, amount: int) -> bool:
        """Reserve ``amount``; False if it is not available."""
        reserved = self.reserved + amount
        if self.spent + reserved > self.allotted:
            return False
        self.reserved = reserved
        return True

    def settle(self, amount: int, used: int) -> None:
        """Replace the reservation ``amount`` by the actual cost ``used``."""
        self.reserved -= amount
        self.spent += used

    def keep_only(self, ahead: int) -> int:
        """Reduce the allotment to spent plus reserved plus ``ahead``; returns the new allotment."""
        self.allotted = min(self.allotted, self.spent + self.reserved + ahead)
        return self.allotted


def granted(*, wanted: int, least: int, remaining: int, sharers: int) -> int:
    """Return how much of ``remaining`` a process gets that asks for ``wanted`` and needs at least ``least``.

    Bounded so that other processes need not stop while this one holds unused money: the part above ``least`` is
    at most a sixteenth of an equal share of the remainder.
    """
    if least > remaining:
        return 0
    return max(least, min(wanted, remaining // (16 * max(1, sharers))))
