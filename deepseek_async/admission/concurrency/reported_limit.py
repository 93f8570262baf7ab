"""What the numbers in the body of a 429 say about our own share of the limit, and whether to believe them.

DeepSeek writes "Your current concurrency is 26, which exceeds your concurrency limit of 25"; it is the only place where
the true limit can be seen.
"""

from __future__ import annotations

from typing import Final

_LARGEST: Final = 100_000
_MEMORY: Final = 1000
"""Attempts over which contradictions are counted: two bursts of a limit that moves must not look like a lie."""
_TOLERATED: Final = 0.05
"""Share of attempts refused inside the named limit, above which the limit is not the one that is enforced."""
_DOUBT: Final = 600.0


class ReportedLimit:
    """Reads numbers, and remembers how often they were contradicted."""

    __slots__ = ("_contradictions", "_counted_at", "_doubted_until", "account", "balance_bound", "current", "limit")

    def __init__(self, now: float) -> None:
        self.limit: int | None = None
        """The last limit named, believed or not."""
        self.current: int | None = None
        self.account: int | None = None
        """The last limit named that was believed. It is that of the account, whoever else uses it."""
        self.balance_bound = False
        """Whether the last refusal said that the limit follows from the remaining balance."""
        self._contradictions = 0.0
        self._counted_at = 0
        self._doubted_until = now

    def doubted(self, now: float) -> bool:
        """Whether numbers are ignored now."""
        return now < self._doubted_until

    def others(
        self,
        limit: int | None,
        current: int | None,
        beside: int,
        now: float,
        *,
        known: int,
    ) -> int | None:
        """Attempts of others that run beside ours, or None if these numbers say nothing.

        ``beside`` are our own attempts in flight when the refused one was sent, itself included. All of ours that the
        server counted were among them, so what it counts beyond is not ours. ``known`` of them are at the server: the
        others travel, or have been refused before this one.
        """
        if limit is None or current is None:
            return None
        self.limit, self.current = limit, current
        # A count within the limit does not explain the refusal, and one far below what we alone have in flight is
        # not the account's: a gateway node that counts for itself would have us shrink to its part.
        if not 0 <= limit < current <= _LARGEST or 2 * current < known or self.doubted(now):
            return None
        self.account = limit
        return max(0, current - beside)

    def contradicted(self, attempts: int, now: float) -> None:
        """The numbers would keep us where we have just been refused; ``attempts`` have been sent so far.

        An honest limit does that now and then, because slots are filled that are empty on the way.
        """
        kept = max(0.0, 1 - (attempts - self._counted_at) / _MEMORY)
        self._contradictions = self._contradictions * kept + 1
        self._counted_at = attempts
        if self._contradictions > _TOLERATED * _MEMORY:
            self._contradictions = 0.0
            self.account = None
            self._doubted_until = now + _DOUBT
