"""Whether to try again, and after how long. Pure: the attempt, the error and chance go in, seconds come out."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from deepseek_async.call.classification import Again, AttemptEnding, rule_of
from deepseek_async.errors import APIError, ConcurrencyLimitError, ConfigurationError, RateLimitError

LONGEST_WAIT: Final = 120.0
"""A longer ``Retry-After`` is the caller's to wait for: the error is raised with ``retry_after``."""

LONGEST_BULK_WAIT: Final = 3600.0
"""The same for bulk, which has nobody waiting for it."""

MOST_REQUEUES: Final = 200
"""Free returns to the queue of one call while others are answered; more than this speaks of the call itself."""
_FEW: Final = 3
"""Attempts of a call whose answers cannot be read."""

_MINUTE: Final = 60.0

_SOON: Final = 0.5
"""Part of the base delay after which a bulk row is sent again to an overloaded server, while others are answered."""
_RARE: Final = 0.005
"""A row that failed more often than one in 200 does by chance waits longer ..."""
_UNLIKELY: Final = 1e-6
"""... and one that failed more often than one in a million does fails because of what it asks, and is given up."""
_MANY: Final = 0.15
_NOTHING_SUCCEEDS: Final = 0.95
"""Share of failures from which nothing is said by chance: each row has its attempts."""


class Pause(msgspec.Struct, frozen=True):
    """What comes before the next attempt."""

    seconds: float
    free: bool = False
    """Whether the attempt is not counted."""
    paid: bool = True
    """Whether the attempt takes retry credit."""
    everybody: bool = False
    """Whether all calls to the model wait: the server asked for it."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter: ``uniform(0, min(max_delay, base_delay * 2 ** (attempt - 1)))``.

    Raises ConfigurationError, naming the field, for values that make no sense.
    """

    max_attempts: int = 4
    """Attempts of one call, the first included; 1 turns retries off. A refusal that names the account's limit of
    concurrent requests is not counted, and for bulk no 429 is: such a call goes back to its place in the queue, while
    the model answers others. After 120 s in which it answers nobody the call gives up, bulk after an hour."""
    base_delay: float = 0.5
    """Seconds; at least 1 s is used when the server says that it is overloaded."""
    max_delay: float = 30.0
    """Seconds; the longest back-off of ours. A server's ``Retry-After`` may be longer, up to 120 s, and up to an
    hour for bulk."""

    def __post_init__(self) -> None:
        attempts = self.max_attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise ConfigurationError(f"retry.max_attempts must be a whole number of at least 1, not {attempts!r}")
        for name in ("base_delay", "max_delay"):
            if not isinstance(getattr(self, name), int | float):
                raise ConfigurationError(f"retry.{name} must be seconds, not {getattr(self, name)!r}")
        # Written so that NaN, which compares to nothing, is refused too.
        if not self.base_delay >= 0:
            raise ConfigurationError(f"retry.base_delay must not be negative, not {self.base_delay}")
        if not self.max_delay >= self.base_delay:
            raise ConfigurationError(
                f"retry.max_delay ({self.max_delay}) must not be below retry.base_delay ({self.base_delay})",
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
        """What to do before the next attempt, or None to give up.

        ``attempt`` counts from 1, ``returns`` those of the attempts that were free, from 0; ``chance`` is
        uniform in [0, 1). ``queue`` says whether the queue itself holds back after a refusal; else the call does.
        ``silence`` is for how many seconds the model has answered nobody, ``failing`` the share of all attempts that
        fails lately, which says how many failures of one row are nothing but chance.
        """
        rule = rule_of(error)
        again = rule.again
        if (again is Again.REQUEUE and not queue) or (again is Again.FREE and returns):
            again = Again.PAID
        refused = again in {Again.REQUEUE, Again.PAUSE}
        counted = refused and not bulk and _names_no_limit(error)
        free = again is Again.FREE or (refused and not counted)
        paid = not free and not refused
        longest = LONGEST_BULK_WAIT if bulk else LONGEST_WAIT
        overload = bulk and queue and again is Again.PAID and rule.ending is AttemptEnding.OVERLOADED
        more = _explained(failing, _UNLIKELY) if overload and _MANY <= failing < _NOTHING_SUCCEEDS else 0
        if self._is_last(Again.PAID if counted else again, error, attempt - max(0, more - self.max_attempts), returns):
            return None
        if refused and (silence >= longest or (returns >= MOST_REQUEUES and silence < LONGEST_WAIT)):
            return None
        asked = error.retry_after
        if asked is not None:
            if asked > longest:
                return None
            # Up to a tenth more, so that callers told the same moment do not all come back in it.
            return Pause(asked * (1 + 0.1 * chance), free=free, paid=paid, everybody=True)
        if again is Again.PAUSE:
            wait = max(1.0, chance * min(_MINUTE, 2.0 ** min(attempt if counted else returns + 1, 6)))
            return Pause(wait, free=free, paid=False, everybody=True)
        if free:
            return Pause(0.0, free=True, paid=False)
        if overload:
            # The window slows down for all rows together; a row that waited as well would only come late.
            beyond = min(max(0, attempt - returns - _explained(failing, _RARE)), 32)
            return Pause(chance * min(self.max_delay, self.base_delay * _SOON * 2.0**beyond), paid=paid)
        base = max(self.base_delay, 1.0) if rule.slow else self.base_delay
        # Beyond 2**32 the exponent only overflows.
        return Pause(chance * min(self.max_delay, base * 2.0 ** min(attempt - returns - 1, 32)), paid=paid)

    def holds_others(self) -> bool:
        """Whether a wait that is too long for this call is asked of the others of its model too."""
        return self.max_attempts > 1

    def _is_last(self, again: Again, error: APIError, attempt: int, returns: int) -> bool:
        if self.max_attempts == 1 or not error.retryable:
            return True
        match again:
            case Again.NEVER:
                return True
            case Again.FREE | Again.REQUEUE | Again.PAUSE:
                return False
            case Again.FEW:
                return attempt - returns >= min(self.max_attempts, _FEW)
            case Again.PAID:
                return attempt - returns >= self.max_attempts


def _explained(failing: float, chance: float) -> int:
    """Failures one after another that a row meets with this chance when that share of all attempts fails."""
    return math.ceil(math.log(chance) / math.log(min(max(failing, 0.01), _NOTHING_SUCCEEDS)))


def is_everybodys(error: RateLimitError, silence: float) -> bool:
    """Whether bulk gave up on a refusal that every other row would meet too, after a ``silence`` of so many seconds."""
    return silence >= LONGEST_BULK_WAIT or (error.retry_after or 0.0) > LONGEST_BULK_WAIT


def _names_no_limit(error: APIError) -> bool:
    """Whether a 429 does not say that there is a place as soon as others have ended: it may be said for ever."""
    return isinstance(error, RateLimitError) and not isinstance(error, ConcurrencyLimitError)
