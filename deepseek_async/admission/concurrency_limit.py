"""How many attempts may be in flight now: what the queue asks, and what it tells. Time is an argument everywhere.

Seconds of any clock that does not go back. One window for each (origin, account, model), because that is what
DeepSeek counts (api-docs.deepseek.com/quick_start/rate_limit).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import msgspec


class Attempt(msgspec.Struct, gc=False, eq=False):
    """One attempt that a window counts, from ``sent`` until it is refused or has ended."""

    sent_at: float
    number: int
    """The how many-th attempt of its window this is, from 1."""
    beside: int
    """Attempts in flight when it was sent, this one included."""
    open: bool = True
    """Whether it still counts as in flight. Ending it again does nothing."""
    answered: bool = False
    """Whether the server has taken it (or, told nothing for the grace time, is believed to have taken it)."""


class Mode(StrEnum):
    """What a window is doing."""

    STARTUP = "startup"
    """Growing by what is taken, until it meets the limit for the first time."""
    HOLD = "hold"
    """Staying at the limit."""
    PROBE = "probe"
    """Growing slowly to see whether the limit has moved."""
    DRAIN = "drain"
    """Everything is refused: one attempt at a time until one is taken."""
    FIXED = "fixed"
    """A number that does not adapt."""


class ConcurrencyStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A window as it is at one moment, and what it has counted since it began."""

    size: int
    """Attempts that may be in flight."""
    in_flight: int
    mode: Mode
    ceiling: int | None = None
    """The size at which the server last refused; None before the first refusal. What to remember for a restart."""
    believed_limit: int | None = None
    """The limit of the whole account, as far as a 429 has named one that is believed."""
    limit: int | None = None
    """The limit that a 429 last named."""
    current: int | None = None
    """The concurrency that a 429 last named, other users of the account included."""
    balance_bound: bool = False
    """Whether that 429 said that the limit follows from the remaining balance."""
    numbers_doubted: bool = False
    """Whether the named limit is ignored for now, because refusals contradict it."""
    tokens: float = 0.0
    """Refusals that probing may cost, at most 4; earned by admissions."""
    braked: bool = False
    """Whether growth is suspended because the server is slow or overloaded."""
    attempts: int = 0
    admissions: int = 0
    refusals_with_numbers: int = 0
    refusals_without_numbers: int = 0
    epochs: int = 0
    """Reactions to refusals; the refusals of one burst count once."""
    members: int = 1
    """Processes that share the account's window, this one included."""
    leads: bool = False
    """Whether it is this one that finds the account's window for all."""
    account_size: int | None = None
    """Attempts that all of them may have in flight; ``size`` is what this one may. None for one that is alone."""
    account_in_flight: int | None = None
    """Attempts of all of them."""

    @property
    def account_ceiling(self) -> int | None:
        """What the account may run at once, whoever of its processes runs it, as far as this one knows.

        A limit that was named is the account's; one found by refusals alone is what was left to this process.
        """
        return max(self.believed_limit or 0, self.ceiling or 0) or None


class ConcurrencyLimit(Protocol):
    """What bounds the attempts in flight.

    ``sent`` answers every ``may_send`` that was acted upon, and every attempt is then closed by exactly one of
    ``refused`` and ``ended``; closing it again does nothing. After each of these, and at ``next_change``,
    ``may_send`` may have turned true.
    """

    in_flight: int

    @property
    def size(self) -> int:
        """Attempts that may be in flight now."""

    def may_send(self, now: float) -> bool:
        """Whether one more attempt may be sent."""

    def next_change(self, now: float) -> float | None:
        """When ``may_send`` could next turn true by time alone; None if only an ending can do it.

        It is a time to ask again, not a promise. It may lie in the past, and then asking now is right.
        """

    def sent(self, now: float) -> Attempt:
        """Count one attempt as in flight."""

    def admitted(self, attempt: Attempt, now: float) -> None:
        """The server answered with headers 200: it has taken the attempt."""

    def first_content(self, attempt: Attempt, now: float) -> None:
        """The first token has come. Only to be told where it is known."""

    def refused(
        self,
        attempt: Attempt,
        now: float,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
    ) -> None:
        """The server answered 429 for concurrency, with these numbers in the body or none. Ends the attempt."""

    def throttled(self, attempt: Attempt, now: float, until: float) -> None:
        """The server answered 429 because attempts come too fast, and wants none before ``until``. Ends the attempt."""

    def ended(self, attempt: Attempt, now: float, *, failed: bool = False, overload: bool = False) -> None:
        """The attempt is over in any other way: answered, failed or cancelled.

        ``failed`` says that it gave no answer, and ``overload`` that it failed as attempts do at a server with too much
        to do, or none (500, 503, stalled, unreachable).
        """

    def taken(self, now: float) -> int:
        """Attempts that the server has taken by now, but for those that failed afterwards."""

    @property
    def failing(self) -> float:
        """The share of attempts that fails lately, as of an overloaded server."""

    def restart(self, now: float) -> None:
        """The server is back after an outage: begin small and grow quickly, because nothing is known of it now."""

    def statistics(self, now: float) -> ConcurrencyStatistics:
        """The window as it is now."""


class FixedLimit:
    """A number of attempts that does not adapt."""

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
        """Nothing changes by time."""
        return None

    def sent(self, now: float) -> Attempt:
        """Count one attempt as in flight."""
        self.in_flight += 1
        self._attempts += 1
        return Attempt(now, self._attempts, self.in_flight)

    def admitted(self, attempt: Attempt, now: float) -> None:  # noqa: ARG002
        """Only noted."""
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
        """Not known."""
        return 0

    @property
    def failing(self) -> float:
        """Not known."""
        return 0.0

    def restart(self, now: float) -> None:
        """Ignored."""

    def statistics(self, now: float) -> ConcurrencyStatistics:  # noqa: ARG002
        """The counts."""
        return ConcurrencyStatistics(
            size=self.size,
            in_flight=self.in_flight,
            mode=Mode.FIXED,
            attempts=self._attempts,
            refusals_without_numbers=self._refusals,
        )
