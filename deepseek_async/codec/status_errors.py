"""Mapping of error responses to exceptions, by status and body.

DeepSeek's error bodies are JSON, plain text, empty or HTML, often with a wrong content type (an error 400 came as
``application/octet-stream``), so Content-Type is ignored.
"""

from __future__ import annotations

import email.utils
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.error_wording import (
    is_about_the_call,
    is_per_minute,
    is_too_long,
    is_used_up,
    refuses_content,
    refuses_key,
)
from deepseek_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ConflictError,
    ContentRiskError,
    ContextWindowExceededError,
    InsufficientBalanceError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerOverloadedError,
    UnprocessableEntityError,
)
from deepseek_async.text.error_response import MaskedHeaders
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.types.json_text import read
from deepseek_async.types.number_text import number_in
from deepseek_async.types.request_id import trace_id

MAX_QUOTED: Final = 2048
"""Maximum characters of a server's message in an error; some messages echo the prompt."""

_DEEPEST: Final = 16
"""Levels of an error object that are kept; a hostile one could exceed Python's stack."""

_BY_STATUS: Final[dict[int, type[APIStatusError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: ServerOverloadedError,
    529: ServerOverloadedError,
}
_STATUS_OF_TYPE: Final = {
    "rate_limit_error": 429,
    "authentication_error": 401,
    "invalid_request_error": 400,
    # Anthropic's format (Anthropic docs, Errors; DeepSeek's harness handles them too).
    "permission_error": 403,
    "not_found_error": 404,
    "billing_error": 402,
    "request_too_large": 413,
    "overloaded_error": 529,
    "timeout_error": 504,
}
"""Status implied by the type of an error object; 500 for any other."""

_OVERFLOWS: Final = frozenset({400, 413, 422, 500})
"""Statuses of a context overflow: TGI sends 422, llama.cpp sent 500."""

_RETRYABLE: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529, *range(520, 525)})

_PAY: Final = "top up the account's balance"

_ADVICE: Final = {
    401: "check the API key",
    402: _PAY,
    403: "the key has no permission for this request",
    404: "no such endpoint or object at this server; check base_url",
    413: "request too large; shorten the prompt or send files by reference",
    415: "an intermediary changed the Content-Type header; check the proxy",
    429: "too many concurrent requests; lower max_concurrency or retry later",
    503: "the API is overloaded; retry later",
}

_CONCURRENCY: Final = re.compile(r"concurrency is ([0-9]{1,9}).*?limit of ([0-9]{1,9})", re.DOTALL)
# Several linear steps: a page of nothing but "<style" must not block the event loop.
_END_OF_CODE: Final = re.compile(r"</(?:style|script)\s*>", re.IGNORECASE)
_CODE: Final = re.compile(r"<(?:style|script)\b.*", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>?")
_TITLE: Final = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)


def status_error(
    status: int,
    headers: Mapping[str, str],
    wire: bytes,
    *,
    now: float,
    asked: str = "",
) -> APIStatusError:
    """Build the error for a response with an error status. ``asked`` is the URL, for errors about missing endpoints.

    ``now`` is the wall clock in Unix seconds, used for a ``Retry-After`` date without a ``Date`` header.
    """
    return _error(status, headers, *_explanation(wire), now=now, asked=asked)


def status_error_in_stream(error: Any, headers: Mapping[str, str], *, now: float) -> APIStatusError:
    """Build the error for an error object inside a 200; without a status of its own it counts as 500."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    text = str(fields.get("message") or "")
    status = next(
        (code for code in map(_status, (fields.get("status"), fields.get("code"))) if code is not None),
        # Without a type the wording decides: a refused prompt would be refused again, and billed.
        400 if refuses_content(text) else _STATUS_OF_TYPE.get(str(fields.get("type")), 500),
    )
    return _error(status, headers, text, fields, now=now)


def _status(code: object) -> int | None:
    """Return the status inside an error object; litellm sends it as a string."""
    if isinstance(code, str):
        code = number_in(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _error(
    status: int,
    headers: Mapping[str, str],
    text: str,
    body: Any,
    *,
    now: float,
    asked: str = "",
) -> APIStatusError:
    text = redact(plain(text))[:MAX_QUOTED]
    body = _redacted(body)
    fields = body if isinstance(body, dict) else {}
    kinds = (fields.get("type"), fields.get("code"))
    facts: dict[str, Any] = {
        "status_code": status,
        "body": body or text or None,
        "headers": MaskedHeaders(headers),
        "request_id": trace_id(headers),
        "retry_after": retry_after(headers, now=now),
        "retryable": status in _RETRYABLE,
        "type": fields.get("type"),
        "code": fields.get("code"),
        "param": fields.get("param"),
    }
    error_type = _BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
    numbers = _CONCURRENCY.search(text) if status == 429 else None
    if numbers:
        error_type = ConcurrencyLimitError
        facts.update(
            current=int(numbers[1]),
            limit=int(numbers[2]),
            balance_bound="remaining balance" in text,
        )
    elif status == 429 and is_per_minute(text):
        facts["per_minute"] = True
    elif _wants_money(status, text, kinds):
        error_type = QuotaExceededError if status == 429 else InsufficientBalanceError
        facts["retryable"] = False
        return error_type(_sentence(status, text, _PAY), **facts)
    elif status in _OVERFLOWS and is_too_long(text, kinds):
        error_type = ContextWindowExceededError
        facts["retryable"] = False
    elif status == 400 and refuses_content(text):
        error_type = ContentRiskError
    elif status == 401:
        facts["key_refused"] = refuses_key(text)
    advice = _ADVICE.get(status, "")
    if 300 <= status < 400:
        advice = _redirected(headers.get("location"))
    elif asked:
        advice = f"no such endpoint or object: {asked}; check base_url, and ids and names in the request"
    return error_type(_sentence(status, text, advice), **facts)


def _wants_money(status: int, text: str, kinds: tuple[object, ...]) -> bool:
    """Whether only payment or a new quota period helps, whatever the status."""
    if status == 429:
        return is_used_up(text, kinds)
    if status == 403:
        return is_used_up("" if is_about_the_call(text) else text, kinds)
    # The text of a 400 may quote the prompt.
    return status == 400 and is_used_up("", kinds)


def _sentence(status: int, text: str, advice: str) -> str:
    said = text or "the server gave no reason"
    return f"{status}: {said}" + (f" ({advice})" if advice else "")


def _redirected(location: str | None) -> str:
    there = f" to {redact(plain(location))[:200]}" if location else ""
    return f"the server redirects{there}; redirects are not followed, to protect the API key; check base_url"


def _explanation(wire: bytes) -> tuple[str, Any]:
    """Return the message in a body as text, and its error object if it has one."""
    body = wire.removeprefix(BOM_UTF8).strip()
    if body.startswith((b"{", b"[")):
        try:
            loaded = read(body)
        except (ValueError, RecursionError):
            loaded = None
        if isinstance(loaded, list) and loaded:
            loaded = loaded[0]  # Gemini
        if isinstance(loaded, dict):
            return _explained(loaded)
    room = 8 * MAX_QUOTED
    text = redact(body[:room].decode("utf-8", "replace"), cut=len(body) > room)
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = title[1] if title else _TAG.sub(" ", " ".join(_CODE.sub("", part) for part in _END_OF_CODE.split(text)))
        text = " ".join(text.split())
        return f"received an HTML page instead of an API answer: {text}", None
    return text, None


def _explained(loaded: dict[str, Any]) -> tuple[str, Any]:
    error = loaded.get("error")
    if not error and isinstance(errors := loaded.get("errors"), list) and errors:
        error = errors[0]  # Cloudflare
    if isinstance(error, dict):
        return _message(error), error
    if isinstance(error, str) and (more := _message(loaded)):
        # Spring and many others put the status in ``error`` and the reason beside it.
        return f"{error}: {more}", loaded
    if error:
        return str(error), {"message": str(error)}
    return _message(loaded), loaded


def error_object(said: Mapping[str, Any]) -> Any:
    """Return the error object that an answer is or contains, or None."""
    error = said.get("error")
    if error:
        return error
    # vLLM, in older versions; Zhipu: {"code": 401, "msg": "…", "success": false}.
    fails = said.get("object") == "error" or (said.get("success") is False and _status(said.get("code")))
    return {**said, "message": _message(said)} if fails else None


def _message(error: Mapping[str, Any]) -> str:
    """Return the message of an error object; FastAPI, behind many gateways, calls it ``detail``."""
    said = error.get("message") or error.get("error_msg") or error.get("msg") or error.get("detail")
    if isinstance(said, list):
        said = "; ".join(str(part.get("msg", part)) if isinstance(part, dict) else str(part) for part in said[:8])
    return str(said or "")


def _redacted(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return plain(redact(value))[:MAX_QUOTED]
    if isinstance(value, dict | list) and depth == _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {_redacted(name): _redacted(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, depth + 1) for item in value]
    # A key of digits only may be returned as a number.
    return value if redact(text := str(value)) == text else redact(text)


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds that the server asks us to wait, or None.

    ``retry-after-ms`` first, then ``Retry-After`` as a number of seconds (fractions allowed), then as an HTTP date
    relative to the response's own ``Date``, because the local clock may be wrong. NaN, infinity, negative values and
    more than ten digits are ignored; a date in the past means now.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or not value:
        return seconds
    until = _timestamp(value)
    if until is None:
        return None
    return max(0.0, until - (_timestamp(headers.get("date")) or now))


def _seconds(value: str | None) -> float | None:
    if not value or sum(character.isdigit() for character in value) > 10:
        return None
    seconds = number_in(value)
    return seconds if seconds is not None and 0 <= seconds < 1e10 else None


def _timestamp(value: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None
