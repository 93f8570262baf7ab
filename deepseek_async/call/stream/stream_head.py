"""The response of a stream, as openai-python's ``stream.response`` shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from deepseek_async.text.response_names import ResponseNames


class StreamHead(ResponseNames, msgspec.Struct, frozen=True):
    """Status and headers; the body is read by iterating over the stream."""

    status_code: int
    headers: Mapping[str, str]
    close_stream: Callable[[], Awaitable[None]]

    async def aclose(self) -> None:
        """Close the stream."""
        await self.close_stream()

    __repr__ = object.__repr__
