"""The response of a stream, as openai-python's ``stream.response`` shows it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class StreamHead(msgspec.Struct, frozen=True):
    """Status and headers; the body is read by iterating over the stream."""

    status_code: int
    headers: Mapping[str, str]

    __repr__ = object.__repr__
