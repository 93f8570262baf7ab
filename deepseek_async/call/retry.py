"""Retry policy: whether to retry, and after how long. Pure: attempt, error and chance in, seconds out."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from deepseek_async.call.classification import AttemptEnding, RetryMode, rule_of
from deepseek_async.errors import APIError, ConcurrencyLimitError, ConfigurationError, RateLimitError

LONGEST_WAIT: Final = 120.0
"""Seconds. A longer ``Retry-After`` is not waited for: the error is raised with ``retry_after``."""

LONGEST_BULK_WAIT: Final = 3600.0
"""Seconds; the same limit for bulk calls, which are not interactive."""

MOST_REQUEUES: Final = 200
"""Free requeues of one call while others are answered; with more, the call itself is at fault."""
_FEW: Final = 3
"""Attempts of a call whose answers are unreadable."""

_MINUTE: Final = 60.0

_SOON: Final = 0.5
"""Fraction of the base delay before a bulk row is retried at an overloaded server that still answers others."""
_RARE: Final = 0.005
"""A row with more failures than chance explains for one row in 200 waits longer ..."""
_UNLIKELY: Final = 1e-6
"""... and with more than chance explains for one in a million, its own request is at fault: it is given up."""
_MANY: Final = 0.15
_NOTHING_SUCCEEDS: Final = 0.95
"""Failure share above which chance explains nothing: each row gets its normal attempts."""


class Pause(msgspec.Struct, frozen=True):
    """Delay and cost of the next attempt."""

    seconds: float
    free: bool = False
    """Whether the attempt does not count against ``max_attempts``."""
    paid: bool = True
    """Whether the attempt costs retry credit."""
    everybody: bool = False
    """Whether all calls to the model pause, as the server asked."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter: ``uniform(0, min(max_delay, base_delay * 2 ** (attempt - 1)))``.

    Raises ConfigurationError, naming the field, for invalid values.
    """

    max_attempts: int = 4
    """Attempts of one call, the first included; 1 disables retries. A 429 that names the account's concurrency limit
    does not count, and for bulk calls no 429 counts: the call goes back to its place in the queue while the model
    answers others. After 120 s without any answer from the model the call gives up, a bulk call after an hour."""
    base_delay: float = 0.5
    """Seconds; at least 1 s is used when the server reports overload."""
    max_delay: float = 30.0
    """Seconds; upper bound of computed back-off. A server's ``Retry-After`` may be longer: up to 120 s, up to an hour
    for bulk calls."""

    def __post_init__(self) -> None:
        attempts = self.max_attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise ConfigurationError(f"retry.max_attempts must be an integer of at least 1, got {attempts!r}")
        for name in ("base_delay", "max_delay"):
            if not isinstance(getattr(self, name), int | float):
                raise ConfigurationError(f"retry.{name} must be a number of seconds, got {getattr(self, name)!r}")
        # Negated comparison, so that NaN is refused too.
        if not self.base_delay >= 0:
            raise ConfigurationError(f"retry.base_delay must be 0 or more, got {self.base_delay}")
        if not self.max_delay >= self.base_delay:
            raise ConfigurationError(
                f"retry.max_delay must be at least retry.base_delay ({self.base_delay}), got {self.max_delay}",
            )

    def pause(
        self,
        error: APIError,
        attempt: int,
        chance: float,
        *,
        returns: int = 0,
        bulk: bool = False,
        queue: bool = True,
        silence: float = 0.0,
        failing: float = 0.0,
    ) -> Pause | None:
        """Internal: return the pause before the next attempt, or None to give up.

        ``attempt`` counts from 1; ``returns`` counts the free attempts among them, from 0; ``chance`` is uniform in [0,
        1). ``queue``: whether the queue backs off after a refusal; otherwise the call does. ``silence``: seconds since
        the model last answered any call. ``failing``: recent failure share of all attempts, which tells how many
        failures of one row chance explains.
        """
        rule = rule_of(error)
        again = rule.again
        if (again is RetryMode.REQUEUE and not queue) or (again is RetryMode.FREE and returns):
            again = RetryMode.PAID
        refused = again in {RetryMode.REQUEUE, RetryMode.PAUSE}
        counted = refused and not bulk and _names_no_limit(error)
        free = again is RetryMode.FREE or (refused and not counted)
        paid = not free and not refused
        longest = LONGEST_BULK_WAIT if bulk else LONGEST_WAIT
        overload = bulk and queue and again is RetryMode.PAID and rule.ending is AttemptEnding.OVERLOADED
        more = _explained(failing, _UNLIKELY) if overload and _MANY <= failing < _NOTHING_SUCCEEDS else 0
        if self._is_last(
            RetryMode.PAID if counted else again, error, attempt - max(0, more - self.max_attempts), returns
        ):
            return None
        if refused and (silence >= longest or (returns >= MOST_REQUEUES and silence < LONGEST_WAIT)):
            return None
        asked = error.retry_after
        if asked is not None:
            if asked > longest:
                return None
            # Up to 10% more, so that callers with the same Retry-After do not return in the same moment.
            return Pause(asked * (1 + 0.1 * chance), free=free, paid=paid, everybody=True)
        if again is RetryMode.PAUSE:
            wait = max(1.0, chance * min(_MINUTE, 2.0 ** min(attempt if counted else returns + 1, 6)))
            return Pause(wait, free=free, paid=False, everybody=True)
        if free:
            return Pause(0.0, free=True, paid=False)
        if overload:
            # The concurrency limit slows all rows down; an additional delay of this row would only make it late.
            beyond = min(max(0, attempt - returns - _explained(failing, _RARE)), 32)
            return Pause(chance * min(self.max_delay, self.base_delay * _SOON * 2.0**beyond), paid=paid)
        base = max(self.base_delay, 1.0) if rule.slow else self.base_delay
        # A larger exponent would only overflow.
        return Pause(chance * min(self.max_delay, base * 2.0 ** min(attempt - returns - 1, 32)), paid=paid)

    def holds_others(self) -> bool:
        """Internal: whether a ``Retry-After`` too long for this call also pauses the other calls to its model."""
        return self.max_attempts > 1

    def waits(self) -> bool:
        """Internal: whether anything waits after a refusal; if not, the concurrency limit is fixed."""
        return True

    def _is_last(self, again: RetryMode, error: APIError, attempt: int, returns: int) -> bool:
        if self.max_attempts == 1 or not error.retryable:
            return True
        match again:
            case RetryMode.NEVER:
                return True
            case RetryMode.FREE | RetryMode.REQUEUE | RetryMode.PAUSE:
                return False
            case RetryMode.FEW:
                return attempt - returns >= min(self.max_attempts, _FEW)
            case RetryMode.PAID:
                return attempt - returns >= self.max_attempts


def _explained(failing: float, chance: float) -> int:
    """Return the number of consecutive failures that occurs with probability ``chance`` at this failure share."""
    return math.ceil(math.log(chance) / math.log(min(max(failing, 0.01), _NOTHING_SUCCEEDS)))


def is_everybodys(error: RateLimitError, silence: float) -> bool:
    """Whether bulk gave up on a refusal that applies to every other row too, after ``silence`` seconds."""
    return silence >= LONGEST_BULK_WAIT or (error.retry_after or 0.0) > LONGEST_BULK_WAIT


def _names_no_limit(error: APIError) -> bool:
    """Whether a 429 names no concurrency limit: it may then persist when other calls have ended."""
    return isinstance(error, RateLimitError) and not isinstance(error, ConcurrencyLimitError)
