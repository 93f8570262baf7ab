"""Account-wide stop after an exhausted balance or a rejected key, with retry times. Pure: the time is an argument."""

from __future__ import annotations

import copy
from typing import Final, NoReturn

import msgspec

from deepseek_async.errors import APIError

FIRST_REST: Final = 5.0
"""Seconds without calls after a key was first rejected: the 401 may have been transient."""

LONGEST_REST: Final = 300.0
"""Seconds; longest interval between probes of a key that stays rejected."""


class AccountHalt(msgspec.Struct):
    """State of an account whose calls are stopped: balance exhausted, or key rejected.

    An exhausted balance stops only calls begun before the refusal, because the balance may have been topped up since. A
    rejected key stops all calls for seconds, later for minutes; then one call probes it while the others still fail.
    """

    error: APIError
    at: float
    """Time of the refusal."""
    rest: float | None = None
    """Seconds until one call may probe the key; None for an exhausted balance."""
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._until = self.at + (self.rest or 0.0)

    def check(self, began: float, now: float) -> None:
        """Raise the error for a call begun at ``began``, unless it may be sent."""
        if self.rest is None:
            if began <= self.at:
                self.stop()
        elif now < self._until:
            self.stop(self._until - now)
        else:
            # This call probes the key; the others stay stopped for the same time again, until its result is known.
            self._until = now + self.rest

    def stop(self, wait: float | None = None) -> NoReturn:
        """Raise the error for a call that is not sent; ``wait`` is the seconds until a retry can succeed."""
        error = copy.copy(self.error)
        if wait is not None:
            error.retry_after = wait
        raise error

    def after(self, error: APIError, now: float) -> AccountHalt:
        """Return the state after the key was rejected again, in ``error``."""
        if self.rest is None:
            return AccountHalt(error, now, FIRST_REST)
        if now - self.at < self.rest:
            return self  # it was sent before the first rejection arrived
        return AccountHalt(error, now, min(2 * self.rest, LONGEST_REST))
