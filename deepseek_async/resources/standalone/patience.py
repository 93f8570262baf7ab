"""Timeouts and retries of the standalone tools (DeepSeek docs of 2026-11). Pure."""

from __future__ import annotations

from typing import Final

from deepseek_async.call.retry import LONGEST_WAIT, Pause, RetryPolicy
from deepseek_async.errors import APIError, RateLimitError

_MOST_ATTEMPTS: Final = 3
"""Each attempt may be charged, also one that timed out."""
_LONGEST_DELAY: Final = 10.0
_SHORTEST_AFTER_REFUSAL: Final = 1.0
"""Seconds before a retry after a 429 without Retry-After: the limits of tools are per second."""


class ToolRetry(RetryPolicy, frozen=True, kw_only=True):
    """Retries of calls with a fee; a 429 counts as an attempt."""

    everybodys: bool = True
    """Whether a Retry-After pauses all calls of the tool. For fetch it may come from one target site."""

    def holds_others(self) -> bool:
        """See ``RetryPolicy.holds_others``."""
        return self.everybodys and super().holds_others()

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
        """See ``RetryPolicy.pause``."""
        if not isinstance(error, RateLimitError):
            return super().pause(
                error, attempt, chance, returns=returns, bulk=bulk, queue=queue, silence=silence, failing=failing
            )
        if attempt >= self.max_attempts or not error.retryable:
            return None
        asked = error.retry_after
        if asked is not None:
            return None if asked > LONGEST_WAIT else Pause(asked * (1 + 0.1 * chance), everybody=self.everybodys)
        spread = _LONGEST_DELAY - _SHORTEST_AFTER_REFUSAL
        return Pause(min(self.max_delay, _SHORTEST_AFTER_REFUSAL + spread * chance))


def retry_of(policy: RetryPolicy, *, everybodys: bool = True) -> ToolRetry:
    """Return ``policy``, limited to the attempts recommended for calls with a fee."""
    return ToolRetry(
        max_attempts=min(_MOST_ATTEMPTS, policy.max_attempts),
        base_delay=policy.base_delay,
        max_delay=max(policy.base_delay, min(_LONGEST_DELAY, policy.max_delay)),
        everybodys=everybodys,
    )
