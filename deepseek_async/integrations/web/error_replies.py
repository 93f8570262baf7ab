"""What a service's own callers are told of an error: status, Retry-After and a fixed sentence. Pure.

The error's own message names models, limits, servers and money of the service: it goes to the log, never to the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from deepseek_async import errors

_LONGEST: Final = 86_400
"""Seconds; a longer Retry-After helps nobody."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error as the service's caller sees it."""

    status: int
    type: str
    """A word to branch on."""
    message: str
    """A sentence for people; the same for every error of this ``type``."""
    retry_after: int | None = None
    """Seconds, for errors that may pass."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after is None else {"retry-after": str(self.retry_after)}

    @property
    def body(self) -> dict[str, Any]:
        """JSON body of the response."""
        error = {"type": self.type, "message": self.message}
        return {"error": error if self.retry_after is None else {**error, "retry_after": self.retry_after}}


_INVALID: Final = ErrorReply(400, "invalid_request", "The request is invalid.")
_TOO_LONG: Final = ErrorReply(413, "too_long", "The request is too long for the model.")
_CONFLICT: Final = ErrorReply(409, "conflict", "The request conflicts with another one. Try again.")
_REFUSED: Final = ErrorReply(422, "content_refused", "The content was refused.")
_BUSY: Final = ErrorReply(429, "busy", "Too many requests at the moment. Try again later.")
_UNAVAILABLE: Final = ErrorReply(503, "unavailable", "The service is not available at the moment. Try again later.")
_UPSTREAM: Final = ErrorReply(502, "upstream_failed", "The answer could not be generated. Try again.")
_INTERRUPTED: Final = ErrorReply(502, "interrupted", "The answer was interrupted. Try again.")
_TIMED_OUT: Final = ErrorReply(504, "timed_out", "The answer took too long. Try again.")
INTERNAL: Final = ErrorReply(500, "internal_error", "The service failed.")
"""Reply to an error of the service's own program."""
INTERRUPTED: Final = _INTERRUPTED

# The nearest class of an error's bases decides. Key, balance and quota are the service's own affair: its callers are
# told that it is not available.
_REPLIES: Final[dict[type[BaseException], ErrorReply]] = {
    errors.DeepSeekError: INTERNAL,
    errors.InvalidRequestError: _INVALID,
    errors.BadRequestError: _INVALID,
    errors.UnprocessableEntityError: _INVALID,
    errors.ContextWindowExceededError: _TOO_LONG,
    errors.ConflictError: _CONFLICT,
    errors.ContentBlockedError: _REFUSED,
    errors.ContentRefusedError: _REFUSED,
    errors.ContentRiskError: _REFUSED,
    errors.RateLimitError: _BUSY,
    errors.QuotaExceededError: _UNAVAILABLE,
    errors.AuthenticationError: _UNAVAILABLE,
    errors.PermissionDeniedError: _UNAVAILABLE,
    errors.InsufficientBalanceError: _UNAVAILABLE,
    errors.BudgetExceededError: _UNAVAILABLE,
    errors.CircuitOpenError: _UNAVAILABLE,
    errors.ServerOverloadedError: _UNAVAILABLE,
    errors.APITimeoutError: _TIMED_OUT,
    errors.StreamInterruptedError: _INTERRUPTED,
    errors.APIError: _UPSTREAM,
    errors.ToolRunError: _UPSTREAM,
}


def reply_to(error: BaseException) -> ErrorReply:
    """Return what the service's caller is told of ``error``; of any but a DeepSeekError, that the service failed."""
    reply = next((_REPLIES[kind] for kind in type(error).__mro__ if kind in _REPLIES), INTERNAL)
    if isinstance(error, errors.APIConnectionError) and error.reason == "closed":
        reply = _UNAVAILABLE  # the client is being closed: another process of the service will answer
    seconds = getattr(error, "retry_after", None)
    if reply.status not in {429, 503} or not isinstance(seconds, int | float) or not seconds >= 0:
        return reply
    wait = max(1, math.ceil(min(seconds, _LONGEST)))
    return ErrorReply(reply.status, reply.type, reply.message, wait)
