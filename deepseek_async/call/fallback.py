"""Fallback to another model or endpoint. Pure.

A fallback is tried when the failure concerns the model or service and not the request: its circuit breaker is open, its
retries are exhausted, or its ``Retry-After`` is too long. It is not tried for an invalid request, an untrusted
certificate (possibly an attack), or a rejected key, which must not go unnoticed.
"""

from __future__ import annotations

import msgspec

from deepseek_async.call.classification import RetryMode, rule_of
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
    """A model or endpoint that may answer instead."""

    target: Target
    model: str
    """Empty in a plan for the requested model."""
    name: str
    """Name reported as ``fallback`` of the answer."""


class Alternatives(msgspec.Struct):
    """Fallback plan of one call."""

    model: str
    """The requested model."""
    choices: tuple[Alternative, ...]
    used: int = 0

    def after(self, failure: APIError, target: Target, model: str) -> Alternative | None:
        """Return the next alternative after ``failure`` of ``model`` at ``target``, or None; each is tried once."""
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
    """Whether another model (on the ``same_account``) or another endpoint may succeed after ``error``."""
    if isinstance(error, InsufficientBalanceError | QuotaExceededError):
        return not same_account
    if isinstance(error, CircuitOpenError):
        return not (same_origin and error.origin_down)
    if isinstance(error, APIResponseValidationError) and error.reason == "form":
        return not same_origin
    if not error.retryable or rule_of(error).again is RetryMode.NEVER:
        return False
    return not (same_origin and _unreachable(error))


def _unreachable(error: APIError) -> bool:
    if isinstance(error, APITimeoutError):
        return error.phase == "connect"
    return isinstance(error, APIConnectionError) and error.reason in {"unreachable", "descriptors"}
