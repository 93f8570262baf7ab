"""Which header fields cross a relay. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream; charset=utf-8"

_HOP_BY_HOP: Final = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Fields of one connection (RFC 9110, 7.6.1)."""

_FRAMING: Final = {"content-length", "content-encoding", "content-type", "expect", "host"}
"""Fields that each side writes for its own body."""

_CLIENTS_OWN: Final = {
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "cookie",
    "openai-organization",
    "openai-project",
    "user-agent",
    "x-api-key",
    "x-goog-api-key",
}
"""Fields by which a client names itself and its account; the engine sends its own."""

_KEPT_BACK: Final = frozenset(_HOP_BY_HOP | _FRAMING | _CLIENTS_OWN)
_NOT_RETURNED: Final = frozenset(_HOP_BY_HOP | _FRAMING | {"set-cookie"})


def passed_on(fields: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """Return the fields of a client's request that are for the server; None if there are none.

    Credentials, cookies, framing and what SDKs tell about themselves (``x-stainless-*``) are left out.
    """
    found = {
        name: value
        for name, value in fields
        if (known := name.lower()) not in _KEPT_BACK and not known.startswith("x-stainless-")
    }
    return found or None


def returned(fields: Mapping[str, str], content_type: str) -> dict[str, str]:
    """Return the fields of a server's response that are for the client, with the ``content_type`` of the body."""
    found = {name: value for name, value in fields.items() if name.lower() not in _NOT_RETURNED}
    found["content-type"] = content_type
    return found
