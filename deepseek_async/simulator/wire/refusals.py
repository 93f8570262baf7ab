"""Error responses as captured: status, body, and a content type that is often wrong or absent. Pure.

Collected from public captures; each function documents the peculiarities of its error.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = "application/json"
OCTETS = "application/octet-stream"
HTML = "text/html"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def envelope(status: int, message: str, kind: str, *, content_type: str = JSON) -> Refusal:
    """Return the JSON error envelope. `code` is `invalid_request_error` for almost everything."""
    error = {"message": message, "type": kind, "param": None, "code": "invalid_request_error"}
    return Refusal(status, orjson.dumps({"error": error}), content_type)


def invalid_request(message: str, status: int = 400, *, content_type: str = JSON) -> Refusal:
    return envelope(status, message, "invalid_request_error", content_type=content_type)


def in_anthropic_form(refusal: Refusal) -> Refusal:
    """Convert a JSON envelope to Anthropic's format."""
    if refusal.content_type not in (JSON, OCTETS) or not refusal.body.startswith(b"{"):
        return refusal
    error = orjson.loads(refusal.body).get("error") or {}
    kind = _ANTHROPIC.get(refusal.status, "api_error" if refusal.status >= 500 else "invalid_request_error")
    body = {"type": "error", "error": {"type": kind, "message": error.get("message") or ""}}
    return replace(refusal, body=orjson.dumps(body))


_ANTHROPIC = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def unparsable(reason: str) -> Refusal:
    """Invalid JSON is reported in plain text with a binary content type."""
    return Refusal(400, f"Failed to parse the request body as JSON: {reason}".encode(), OCTETS)


def missing_authorization() -> Refusal:
    """Without the header the gateway responds in text, without a content type."""
    return Refusal(401, b"Authentication Fails (governor)")


def wrong_key(key: str) -> Refusal:
    """The message contains the last four characters of the key."""
    message = f"Authentication Fails, Your api key: ****{key[-4:]} is invalid"
    return envelope(401, message, "authentication_error")


def insufficient_balance() -> Refusal:
    return envelope(402, "Insufficient Balance", "unknown_error")


def not_found() -> Refusal:
    return Refusal(404)


def method_not_allowed(allowed: str) -> Refusal:
    return Refusal(405, headers={"Allow": allowed})


def too_large() -> Refusal:
    """Never captured; this is the text of the web framework whose other texts match byte for byte."""
    return Refusal(413, b"Failed to buffer the request body: length limit exceeded", TEXT)


def unsupported_media_type() -> Refusal:
    return Refusal(415, b"Expected request with `Content-Type: application/json`", TEXT)


def beta_only() -> Refusal:
    return invalid_request(
        "completions api is only available when using beta api (set base_url=https://api.deepseek.com/beta)"
    )


def too_many_requests(current: int, limit: int, *, balance_bound: bool) -> Refusal:
    """The real message, the only place where the limit is disclosed."""
    clause = (
        " based on your remaining balance. Please top up your balance to restore your concurrency."
        if balance_bound
        else "."
    )
    message = (
        f"Too many requests. Your current concurrency is {current}, "
        f"which exceeds your concurrency limit of {limit}{clause}"
    )
    return envelope(429, message, "rate_limit_error")


def gateway_page(status: int, reason: str) -> Refusal:
    """Return the HTML page of the reverse proxy."""
    page = (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
        f"<center><h1>{status} {reason}</h1></center>\r\n<hr><center>openresty</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    return Refusal(status, page.encode(), HTML)


def server_error() -> Refusal:
    return envelope(500, "Internal Server Error", "internal_server_error")


def overloaded() -> Refusal:
    """Occurs in bursts at peak hours, as text (public note of 2026-08-03)."""
    return Refusal(503, b"service is too busy", TEXT)
