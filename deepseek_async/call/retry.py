"""Whether to try again, and after how long. Pure: the attempt, the error and chance go in, seconds come out."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    ConfigurationError,
    ServerOverloadedError,
)

LONGEST_WAIT: Final = 120.0
"""A longer ``Retry-After`` is the caller's to wait for: the error is raised with ``retry_after``."""

_UNREADABLE_TRIES: Final = 3
"""Attempts for an answer that cannot be read; more would pay again and again for the same broken answer."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter: ``uniform(0, min(max_delay, base_delay * 2 ** (attempt - 1)))``.

    Raises ConfigurationError, naming the field, for values that make no sense.
    """

    max_attempts: int = 4
    """Attempts of one call, the first included; 1 turns retries off."""
    base_delay: float = 0.5
    """Seconds; at least 1 s is used when the server says that it is overloaded."""
    max_delay: float = 30.0
    """Seconds; the longest back-off of ours. A server's ``Retry-After`` may be longer, up to 120 s."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ConfigurationError(f"retry.max_attempts must be at least 1, not {self.max_attempts}")
        # Written so that NaN, which compares to nothing, is refused too.
        if not self.base_delay >= 0:
            raise ConfigurationError(f"retry.base_delay must not be negative, not {self.base_delay}")
        if not self.max_delay >= self.base_delay:
            raise ConfigurationError(
                f"retry.max_delay ({self.max_delay}) must not be below retry.base_delay ({self.base_delay})",
            )

    def delay(self, error: APIError, attempt: int, chance: float) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        ``attempt`` counts from 1; ``chance`` is uniform in [0, 1).
        """
        allowed = self.max_attempts
        if isinstance(error, APIResponseValidationError):
            allowed = min(allowed, _UNREADABLE_TRIES)
        if not error.retryable or attempt >= allowed:
            return None
        if error.retry_after is not None:
            if error.retry_after > LONGEST_WAIT:
                return None
            # Up to a tenth more, so that callers told the same moment do not all come back in it.
            return error.retry_after * (1 + 0.1 * chance)
        base = max(self.base_delay, 1.0) if isinstance(error, ServerOverloadedError) else self.base_delay
        # Beyond 2**32 the exponent only overflows.
        return chance * min(self.max_delay, base * 2.0 ** min(attempt - 1, 32))
