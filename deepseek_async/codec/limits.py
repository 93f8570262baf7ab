"""How large a request and an answer may be, so that no server and no mistake takes all the memory there is."""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.errors import ConfigurationError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""The API's largest answer is 393,216 tokens, sent in far smaller events (DeepSeek docs)."""

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
"""That answer streamed with an event of 250 bytes for each token takes 100 MB."""

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""A context of 1,048,576 tokens is 4 MB of text; the rest is room for images."""

ACCEPTED_BYTES: Final = 48 * 1024 * 1024
"""The largest request that DeepSeek itself takes (DeepSeek docs, Vision guide)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a request and an answer may be, in bytes.

    The head of a response has bounds that cannot be set: 64 KiB, 128 fields of 8 KiB (``transport.http1``).
    Raises ConfigurationError, naming the field, for a value that is no whole number above zero.
    """

    request: int = MAX_REQUEST_BYTES
    """A request's body; 32 MiB. DeepSeek takes up to 48 MiB."""
    body: int = MAX_BODY_BYTES
    """A response's body, after decompression; 256 MiB."""
    event: int = MAX_EVENT_BYTES
    """One event of a stream; 16 MiB."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"limits.{name} must be a whole number of bytes above 0, not {value!r}")


DEFAULT_LIMITS: Final = Limits()
