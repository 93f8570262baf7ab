"""Who answers when the model or the service that was asked cannot. Pure.

A fallback is taken when the failure speaks of the one that was asked and not of the request: its breaker is open,
its retries are used up, or the server asks for a wait that nobody wants. Not for a request that is wrong, not for a
certificate that is not trusted (that may be an attack), and not for a refused key, which hides behind no answer.
"""

from __future__ import annotations

from deepseek_async.call.classification import Again, rule_of
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    CircuitOpenError,
    InsufficientBalanceError,
    QuotaExceededError,
)


def helps_elsewhere(error: APIError, *, same_origin: bool, same_account: bool) -> bool:
    """Whether another model (of the ``same_account``) or another endpoint may do better after ``error``."""
    if isinstance(error, InsufficientBalanceError | QuotaExceededError):
        return not same_account
    if isinstance(error, CircuitOpenError):
        return not (same_origin and error.origin_down)
    if not error.retryable or rule_of(error).again is Again.NEVER:
        return False
    return not (same_origin and _unreachable(error))


def _unreachable(error: APIError) -> bool:
    if isinstance(error, APITimeoutError):
        return error.phase == "connect"
    return isinstance(error, APIConnectionError) and error.reason in {"unreachable", "descriptors"}
