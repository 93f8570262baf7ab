"""Concurrency limit: the interface between the queue and the algorithms. Time is an argument everywhere.

Times are seconds of a monotonic clock. There is one limit per (origin, account, model), because that is what
DeepSeek counts (api-docs.deepseek.com/quick_start/rate_limit).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import msgspec


class Attempt(msgspec.Struct, gc=False, eq=False):
    """One attempt, in flight from ``sent`` until it is refused or ended."""

    sent_at: float
    number: int
    """Sequence number of the attempt, from 1."""
    beside: int
    """Attempts in flight when it was sent, itself included."""
    open: bool = True
    """Whether it is in flight. Ending it again has no effect."""
    answered: bool = False
    """Whether the server accepted it, explicitly or by silence during the grace time."""


class Mode(StrEnum):
    """State of a concurrency limit."""

    STARTUP = "startup"
    """Growing with accepted attempts until the limit is first reached."""
    HOLD = "hold"
    """Staying at the limit."""
    PROBE = "probe"
    """Growing slowly to detect a higher limit."""
    DRAIN = "drain"
    """Everything is refused: one attempt at a time until one is accepted."""
    FIXED = "fixed"
    """A fixed number."""


class ConcurrencyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """State of a concurrency limit at one moment, with its counters."""

    size: int
    """Attempts that may be in flight."""
    in_flight: int
    mode: Mode
    ceiling: int | None = None
    """Size at which the server last refused; None before the first refusal. Stored for the next run."""
    believed_limit: int | None = None
    """Limit of the whole account as reported by a 429, if trusted."""
    limit: int | None = None
    """Limit reported by the last 429."""
    current: int | None = None
    """Concurrency reported by the last 429, other users of the account included."""
    balance_bound: bool = False
    """Whether that 429 said that the remaining balance determines the limit."""
    numbers_doubted: bool = False
    """Whether the reported limit is ignored at present because refusals contradict it."""
    tokens: float = 0.0
    """Probe tokens, at most 4: refusals that probing may cause; earned by accepted attempts."""
    braked: bool = False
    """Whether growth is suspended because the server is slow or overloaded."""
    attempts: int = 0
    admissions: int = 0
    refusals_with_numbers: int = 0
    refusals_without_numbers: int = 0
    epochs: int = 0
    """Reactions to refusals; the refusals of one burst count once."""
    members: int = 1
    """Processes that share the account's limit, this one included."""
    leads: bool = False
    """Whether this process determines the account's limit for all members."""
    account_size: int | None = None
    """Limit of all members together; ``size`` is this member's share. None without sharing."""
    account_in_flight: int | None = None
    """Attempts in flight over all members."""

    @property
    def account_ceiling(self) -> int | None:
        """Concurrency limit of the whole account, as far as this process knows it.

        A reported limit applies to the account; one found through refusals alone is the part left to this process.
        """
        return max(self.believed_limit or 0, self.ceiling or 0) or None


class ConcurrencyLimit(Protocol):
    """Limit of attempts in flight.

    Call ``sent`` after every ``may_send`` that was acted upon, and close each attempt with exactly one of ``refused``
    and ``ended``; closing it again has no effect. After each of these calls, and at ``next_change``, ``may_send``
    may have become true.
    """

    in_flight: int

    @property
    def size(self) -> int:
        """Attempts that may be in flight now."""

    def may_send(self, now: float) -> bool:
        """Whether one more attempt may be sent."""

    def next_change(self, now: float) -> float | None:
        """Return when ``may_send`` could next become true by time alone; None if only an ending can do it.

        This is a time to ask again, not a guarantee. A time in the past means: ask now.
        """

    def sent(self, now: float) -> Attempt:
        """Record an attempt as in flight."""

    def admitted(self, attempt: Attempt, now: float) -> None:
        """Record that the server accepted the attempt with a status 200."""

    def first_content(self, attempt: Attempt, now: float) -> None:
        """Record the first token of an attempt. Optional."""

    def refused(
        self,
        attempt: Attempt,
        now: float,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
    ) -> None:
        """Record a 429 for concurrency, with the numbers of its body if it had any. Ends the attempt."""

    def throttled(self, attempt: Attempt, now: float, until: float) -> None:
        """Record a 429 for the request rate; nothing may be sent before ``until``. Ends the attempt."""

    def ended(self, attempt: Attempt, now: float, *, failed: bool = False, overload: bool = False) -> None:
        """Record any other ending: answered, failed or cancelled.

        ``failed``: it returned no answer. ``overload``: it failed as it would at an overloaded or absent server (500,
        503, stalled, unreachable).
        """

    def taken(self, now: float) -> int:
        """Return the number of attempts accepted so far, without those that failed later."""

    @property
    def failing(self) -> float:
        """Recent failure rate, as for an overloaded server."""

    def restart(self, now: float) -> None:
        """Restart after an outage: begin small and grow quickly, because earlier measurements may be stale."""

    def statistics(self, now: float) -> ConcurrencyStatistics:
        """Return the current state."""


class FixedLimit:
    """A fixed number of attempts."""

    __slots__ = ("_attempts", "_refusals", "in_flight", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.in_flight = 0
        self._attempts = 0
        self._refusals = 0

    def may_send(self, now: float) -> bool:  # noqa: ARG002
        """Whether a slot is free."""
        return self.in_flight < self.size

    def next_change(self, now: float) -> float | None:  # noqa: ARG002
        """Return None: nothing changes by time."""
        return None

    def sent(self, now: float) -> Attempt:
        """Record an attempt as in flight."""
        self.in_flight += 1
        self._attempts += 1
        return Attempt(now, self._attempts, self.in_flight)

    def admitted(self, attempt: Attempt, now: float) -> None:  # noqa: ARG002
        """Mark the attempt as accepted."""
        attempt.answered = True

    def first_content(self, attempt: Attempt, now: float) -> None:
        """Ignored."""

    def refused(self, attempt: Attempt, now: float, **numbers: Any) -> None:  # noqa: ARG002
        """End the attempt; the numbers are ignored."""
        if attempt.open:
            self._refusals += 1
            self.ended(attempt, now)

    def throttled(self, attempt: Attempt, now: float, until: float) -> None:  # noqa: ARG002
        """End the attempt."""
        self.refused(attempt, now)

    def ended(self, attempt: Attempt, now: float, *, failed: bool = False, overload: bool = False) -> None:  # noqa: ARG002
        """End the attempt."""
        if attempt.open:
            attempt.open = False
            self.in_flight -= 1

    def taken(self, now: float) -> int:  # noqa: ARG002
        """Not tracked."""
        return 0

    @property
    def failing(self) -> float:
        """Not tracked."""
        return 0.0

    def restart(self, now: float) -> None:
        """Ignored."""

    def statistics(self, now: float) -> ConcurrencyStatistics:  # noqa: ARG002
        """Return the counters."""
        return ConcurrencyStatistics(
            size=self.size,
            in_flight=self.in_flight,
            mode=Mode.FIXED,
            attempts=self._attempts,
            refusals_without_numbers=self._refusals,
        )
