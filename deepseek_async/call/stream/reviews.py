"""When a stream's text is complete and the stream is not: the service reviews it, and sends nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

ChunkT = TypeVar("ChunkT")

QUIET: Final = 1.0
"""Seconds without a chunk, after text, that are told as a review; the text of an answer comes many times a second."""


def is_reviewed(request: Mapping[str, Any]) -> bool:
    """Whether ``request`` asks for an answer that is reviewed as a whole before it ends."""
    check = request.get("safety_check")
    return isinstance(check, Mapping) and check.get("level") not in (None, "low")


async def with_reviews(
    chunks: AsyncIterator[ChunkT],
    request: Mapping[str, Any],
    is_text: Callable[[ChunkT], bool],
) -> AsyncGenerator[ChunkT | None, None]:
    """``chunks``, and None where the answer to ``request`` seems complete and has not ended."""
    if not is_reviewed(request):
        async for chunk in chunks:
            yield chunk
        return
    spoken = False
    while True:
        reading = asyncio.ensure_future(_next(chunks))
        try:
            if spoken and not (await asyncio.wait((reading,), timeout=QUIET))[0]:
                spoken = False
                yield None
            came = await reading
        finally:
            if not reading.done():
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
        if not came:
            return
        spoken = spoken or is_text(came[0])
        yield came[0]


async def _next(chunks: AsyncIterator[ChunkT]) -> tuple[ChunkT, ...]:
    """The next one; none at the end."""
    async for chunk in chunks:
        return (chunk,)
    return ()
