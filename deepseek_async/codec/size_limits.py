"""Size limits of requests and answers, which bound the memory a server or a mistake can use."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import ConfigurationError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes. The API's largest answer is 393,216 tokens, sent in far smaller events (DeepSeek docs)."""

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
"""Bytes. That answer takes 100 MB, streamed at 250 bytes per event and token."""

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""Bytes. A context of 1,048,576 tokens is 4 MB of text; the rest is room for images."""

ACCEPTED_BYTES: Final = 48 * 1024 * 1024
"""Largest request that DeepSeek accepts, in bytes (DeepSeek docs, Vision guide)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Maximum sizes of a request and an answer, in bytes.

    The head of a response has fixed limits: 64 KiB, 128 fields of 8 KiB (``transport.http1``). Raises
    ConfigurationError, naming the field, for a value that is not a positive integer.
    """

    request: int = MAX_REQUEST_BYTES
    """Request body; default 32 MiB. DeepSeek accepts up to 48 MiB."""
    body: int = MAX_BODY_BYTES
    """Response body, after decompression; default 256 MiB."""
    event: int = MAX_EVENT_BYTES
    """One event of a stream; default 16 MiB."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"limits.{name} must be a positive integer (bytes), got {value!r}")


DEFAULT_LIMITS: Final = Limits()
