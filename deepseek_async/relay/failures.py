"""Errors of a call as responses: what a server would have said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    BudgetExceededError,
    CircuitOpenError,
    ConfigurationError,
    ContentBlockedError,
    ContentRefusedError,
    DeepSeekError,
    InvalidRequestError,
)
from deepseek_async.relay.exchange import RelayResponse
from deepseek_async.relay.header_fields import JSON
from deepseek_async.types.json_text import write

_MEANT: Final[tuple[tuple[type[DeepSeekError], int, str], ...]] = (
    (InvalidRequestError, 400, "invalid_request_error"),
    (ContentBlockedError, 400, "content_filter"),
    (ContentRefusedError, 400, "content_filter"),
    (BudgetExceededError, 429, "budget_exceeded"),
    (ConfigurationError, 501, "not_configured"),
    (CircuitOpenError, 503, "service_unavailable"),
    (APITimeoutError, 504, "timeout_error"),
    (APIConnectionError, 502, "connection_error"),
    (APIError, 502, "bad_gateway"),
)
"""Status and type of errors without a status of the server; the first that fits."""

_GIVEN_UP: Final = "x-should-retry"
"""Tells openai-python and anthropic not to retry (openai-python, ``_should_retry``): the engine has done so."""


def refusal_of(error: DeepSeekError) -> RelayResponse:
    """Return the response that stands for ``error``: the server's own status and body, where it sent any.

    It tells SDKs not to retry, because the call was retried already as often as it may be.
    """
    status, said = _meaning(error)
    fields = {**_headers_of(error), _GIVEN_UP: "false"}
    if error.retry_after is not None:
        fields["retry-after"] = str(ceil(error.retry_after))
    return RelayResponse(status=status, fields=fields, content_type=JSON, body=write({"error": said}), failure=error)


def failure_event(error: DeepSeekError) -> bytes:
    """Return ``error`` as the last event of a stream, in the form of OpenAI and DeepSeek."""
    return b"data: " + write({"error": _meaning(error)[1]}) + b"\n\n"


def error_object(error: DeepSeekError) -> dict[str, Any]:
    """Return the ``error`` member of the body that stands for ``error``."""
    return _meaning(error)[1]


def _meaning(error: DeepSeekError) -> tuple[int, dict[str, Any]]:
    status = error.status_code
    if isinstance(error, APIStatusError) and status is not None and status >= 300:
        body = error.body if isinstance(error.body, dict) else {}
        return status, body or {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    found = next(((code, kind) for known, code, kind in _MEANT if isinstance(error, known)), (500, "internal_error"))
    return found[0], {"message": error.message, "type": found[1], "param": None, "code": found[1]}


def _headers_of(error: DeepSeekError) -> Mapping[str, str]:
    if error.headers:
        return error.headers
    return {} if error.request_id is None else {"x-ds-trace-id": error.request_id}
