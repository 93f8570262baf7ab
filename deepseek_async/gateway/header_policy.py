"""Which header fields cross the gateway, by name: everything else stays on its side. Pure.

A library in the caller's own process may pass any field on; here caller and operator are different people, and a field
that is unknown may mean something to a proxy, a browser or a server on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from deepseek_async.relay import RelayResponse
from deepseek_async.text.redaction import mask_known
from deepseek_async.transport.received_fields import HeaderFields

_FORWARDED: Final = frozenset(
    {
        "anthropic-beta",
        "anthropic-version",
        "idempotency-key",
        "openai-beta",
        "traceparent",
        "tracestate",
        "x-client-request-id",
        "x-request-id",
    }
)
"""Of a request: versions and betas of the protocols, and names for a trace. No credential, cookie, address of the
caller (X-Forwarded-For), method override or condition (If-None-Match, Range)."""

_RETURNED: Final = frozenset(
    {
        "cache-control",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-ds-trace-id",
        "x-request-id",
        "x-should-retry",
    }
)
_RETURNED_FAMILIES: Final = ("x-ratelimit-", "ratelimit-", "anthropic-ratelimit-", "x-ds-", "openai-")
"""Of an answer: its trace, and limits. Nothing that a browser obeys for the origin of the gateway, such as
Set-Cookie, Access-Control-Allow-Origin or Clear-Site-Data."""

_NAMES: Final = "|".join((*sorted(_RETURNED), *(f"{family}[^:\r]*" for family in _RETURNED_FAMILIES))).encode()
_RETURNED_NAME: Final = re.compile(_NAMES)
_RETURNED_FIELDS: Final = re.compile(b"\r\n(%b):" % _NAMES)


def forwarded(fields: Mapping[str, str]) -> dict[str, str] | None:
    """Return the fields of a caller's request that are for DeepSeek; None if there are none."""
    if _FORWARDED.isdisjoint(map(str.lower, fields)):  # as of most
        return None
    return {name: value for name, value in fields.items() if name.lower() in _FORWARDED}


def returned(answered: RelayResponse) -> dict[str, str]:
    """Return the fields of DeepSeek's answer that are for the caller, and the type of the body."""
    # A line end would begin another field, and the server refuses to send any control character.
    fields = answered.fields
    if isinstance(fields, HeaderFields):
        chosen: Mapping[str, str] = fields.matching(_RETURNED_FIELDS)
    else:
        chosen = {name: value for name, value in fields.items() if _RETURNED_NAME.fullmatch(name.lower().encode())}
    found = {name: mask_known(value) for name, value in chosen.items() if value.isprintable()}
    if answered.content_type.isprintable():
        found["content-type"] = answered.content_type
    return found
