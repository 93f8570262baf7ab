"""How long a stand-alone tool is waited for, and how often it is asked again (DeepSeek docs of 2026-11). Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.call.retry import LONGEST_WAIT, Pause, RetryPolicy
from deepseek_async.errors import APIError, RateLimitError
from deepseek_async.transport.watchdog import Timeouts

_MOST_ATTEMPTS: Final = 3
"""Each may be charged, also one that timed out."""
_LONGEST_DELAY: Final = 10.0
_SHORTEST_AFTER_REFUSAL: Final = 1.0
"""Seconds before a tool is asked again that said 429 and not when: its limits are by the second."""


class ToolRetry(RetryPolicy, frozen=True, kw_only=True):
    """Retries of calls that have a fee; 429 is an attempt like any other."""

    everybodys: bool = True
    """Whether a wait that the server asks for is that of all calls of the tool. A page's server may be what is busy."""

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
    """As ``policy`` says, and no more often than is advised for what has a fee."""
    return ToolRetry(
        max_attempts=min(_MOST_ATTEMPTS, policy.max_attempts),
        base_delay=policy.base_delay,
        max_delay=max(policy.base_delay, min(_LONGEST_DELAY, policy.max_delay)),
        everybodys=everybodys,
    )


def timers(client: Timeouts, seconds: float, *, idle: float | None = None) -> Timeouts:
    """``seconds`` for an attempt, of which ``idle`` may pass without a byte; connecting and the whole as ever."""
    silence = seconds if idle is None else idle
    return msgspec.structs.replace(
        client,
        connect=min(client.connect, silence),
        headers=silence,
        first_content=seconds,
        idle=silence,
        stall=silence,
        attempt=seconds,
    )
