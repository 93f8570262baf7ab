"""Errors of the engine as openai-python raises them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from deepseek_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    DeepSeekError,
)
from deepseek_async.integrations.openai.library import openai_library
from deepseek_async.relay import RelayResponse, error_object, refusal_of

if TYPE_CHECKING:
    import httpx2

EXTENSION: Final = "deepseek_async"
"""Name under which a response carries the engine's error."""


def cause_of(error: BaseException) -> DeepSeekError | None:
    """Return the engine's error behind an error of openai-python, or ``error`` if it is one; None if there is none.

    It has what openai's has no room for: ``partial``, the part of the answer that had arrived and is billed, or the
    whole of one that openai-python could not convert; ``billed_attempts``, ``attempts``, ``retry_after``.
    """
    if isinstance(error, DeepSeekError):
        return error
    extensions = getattr(getattr(error, "response", None), "extensions", None) or {}
    for cause in (extensions.get(EXTENSION), error.__cause__):
        if isinstance(cause, DeepSeekError):
            return cause
    return None


def answered(error: DeepSeekError, request: httpx2.Request) -> RelayResponse:
    """Return the response that stands for ``error``.

    Raises what openai-python raises without a response: its APITimeoutError or APIConnectionError, which it does not
    retry if they come from below; and a ConfigurationError as it is.
    """
    if isinstance(error, ConfigurationError):
        raise error
    if isinstance(error, APIConnectionError):
        raise _without_response(error, request) from error
    return refusal_of(error)


def broken_off(error: DeepSeekError, request: httpx2.Request) -> Exception:
    """Return what openai-python raises for a stream that ends with ``error``."""
    if isinstance(error, APIStatusError):
        said = error_object(error)
        failure: Exception = openai_library().APIError(error.message, request=request, body=said)
        return failure
    return _without_response(error, request)


def _without_response(error: DeepSeekError, request: httpx2.Request) -> Exception:
    openai = openai_library()
    failure: Any
    if isinstance(error, APITimeoutError):
        failure = openai.APITimeoutError(request=request)
    else:
        failure = openai.APIConnectionError(message=error.message, request=request)
    raised: Exception = failure
    return raised
