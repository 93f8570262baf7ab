"""Numbers in the body of a 429: this process's part of the limit, and whether they are trustworthy.

DeepSeek writes "Your current concurrency is 26, which exceeds your concurrency limit of 25"; the true limit is visible
nowhere else.
"""

from __future__ import annotations

from typing import Final

_LARGEST: Final = 100_000
_MEMORY: Final = 1000
"""Attempts over which contradictions are counted; two bursts of a changing limit must not look like false numbers."""
_TOLERATED: Final = 0.05
"""Share of attempts refused within the reported limit above which that limit is not the enforced one."""
_DOUBT: Final = 600.0


class ReportedLimit:
    """Interprets reported numbers and counts contradictions."""

    __slots__ = ("_contradictions", "_counted_at", "_doubted_until", "account", "balance_bound", "current", "limit")

    def __init__(self, now: float) -> None:
        self.limit: int | None = None
        """Last reported limit, trusted or not."""
        self.current: int | None = None
        self.account: int | None = None
        """Last trusted limit; it applies to the whole account."""
        self.balance_bound = False
        """Whether the last refusal said that the remaining balance determines the limit."""
        self._contradictions = 0.0
        self._counted_at = 0
        self._doubted_until = now

    def doubted(self, now: float) -> bool:
        """Whether reported numbers are ignored at present."""
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
        """Return the attempts of other users of the account, or None if the numbers are unusable.

        ``beside`` are this process's attempts in flight when the refused one was sent, itself included. All of ours
        that the server counted are among them, so any excess belongs to others. ``known`` of them are at the server;
        the rest are in transit or were refused earlier.
        """
        if limit is None or current is None:
            return None
        self.limit, self.current = limit, current
        # A count within the limit does not explain the refusal, and one far below our own attempts in flight is not the
        # account's: a gateway node that counts separately would shrink the limit to its part.
        if not 0 <= limit < current <= _LARGEST or 2 * current < known or self.doubted(now):
            return None
        self.account = limit
        return max(0, current - beside)

    def contradicted(self, attempts: int, now: float) -> None:
        """Record that the numbers would keep the size at which we were refused; ``attempts`` have been sent so far.

        Correct numbers do that occasionally, because slots in transit get filled.
        """
        kept = max(0.0, 1 - (attempts - self._counted_at) / _MEMORY)
        self._contradictions = self._contradictions * kept + 1
        self._counted_at = attempts
        if self._contradictions > _TOLERATED * _MEMORY:
            self._contradictions = 0.0
            self.account = None
            self._doubted_until = now + _DOUBT
