"""Detection of the service's final review: the text is complete, the stream stays open and silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

ChunkT = TypeVar("ChunkT")

QUIET: Final = 1.0
"""Seconds without a chunk, after text, that count as a review; text normally arrives many times a second."""


def is_reviewed(request: Mapping[str, Any]) -> bool:
    """Whether ``request`` asks for a review of the complete answer before it ends."""
    check = request.get("safety_check")
    return isinstance(check, Mapping) and check.get("level") not in (None, "low")


async def with_reviews(
    chunks: AsyncIterator[ChunkT],
    request: Mapping[str, Any],
    is_text: Callable[[ChunkT], bool],
) -> AsyncGenerator[ChunkT | None, None]:
    """Yield ``chunks``, and None where the answer to ``request`` seems complete but has not ended."""
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
    """Return the next chunk as a 1-tuple; empty at the end."""
    async for chunk in chunks:
        return (chunk,)
    return ()
