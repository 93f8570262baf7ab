"""Who answers when the model or the service that was asked cannot. Pure.

A fallback is taken when the failure speaks of the one that was asked and not of the request: its breaker is open,
its retries are used up, or the server asks for a wait that nobody wants. Not for a request that is wrong, not for a
certificate that is not trusted (that may be an attack), and not for a refused key, which hides behind no answer.
"""

from __future__ import annotations

import msgspec

from deepseek_async.call.classification import Again, rule_of
from deepseek_async.call.target import Target
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    CircuitOpenError,
    InsufficientBalanceError,
    QuotaExceededError,
)


class Alternative(msgspec.Struct, frozen=True):
    """Who may answer in the place of the one that was asked."""

    target: Target
    model: str
    """Empty in a plan for the model that was asked for."""
    name: str
    """How the answer says who gave it."""


class Alternatives(msgspec.Struct):
    """Where one call may go when it fails where it was made."""

    model: str
    """The model that was asked for."""
    choices: tuple[Alternative, ...]
    used: int = 0

    def after(self, failure: APIError, target: Target, model: str) -> Alternative | None:
        """The next that may do better than ``target``, where ``model`` ended with ``failure``; each is tried once."""
        while self.used < len(self.choices):
            alternative = self.choices[self.used]
            self.used += 1
            same = alternative.target is target
            other = alternative.model or self.model
            if same and other == model:
                continue
            if helps_elsewhere(failure, same_origin=same, same_account=same):
                return Alternative(alternative.target, other, alternative.name)
        return None


def helps_elsewhere(error: APIError, *, same_origin: bool, same_account: bool) -> bool:
    """Whether another model (of the ``same_account``) or another endpoint may do better after ``error``."""
    if isinstance(error, InsufficientBalanceError | QuotaExceededError):
        return not same_account
    if isinstance(error, CircuitOpenError):
        return not (same_origin and error.origin_down)
    if isinstance(error, APIResponseValidationError) and error.reason == "form":
        return not same_origin
    if not error.retryable or rule_of(error).again is Again.NEVER:
        return False
    return not (same_origin and _unreachable(error))


def _unreachable(error: APIError) -> bool:
    if isinstance(error, APITimeoutError):
        return error.phase == "connect"
    return isinstance(error, APIConnectionError) and error.reason in {"unreachable", "descriptors"}
