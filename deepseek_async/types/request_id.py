"""The request id that a server assigned, from the headers of its response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact

_REQUEST_IDS: Final = ("x-deepseek-request-id", "x-request-id", "request-id")
"""DeepSeek's harness reads the first two, OpenAI and most proxies send the second, Anthropic the third."""

_LONGEST: Final = 2048
"""Characters kept of an id."""


def trace_id(headers: Mapping[str, str]) -> str | None:
    """Return the server's request id: DeepSeek's ``x-ds-trace-id``, or the equivalent of other servers."""
    value = headers.get("x-ds-trace-id")
    if value is None:
        # Only ``get``: a Mapping's ``in`` raises internally for a missing key, and most servers send none.
        for name in _REQUEST_IDS:
            value = headers.get(name)
            if value is not None:
                break
        else:
            return None
    return plain(redact(value))[:_LONGEST]
