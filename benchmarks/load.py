"""How the questions are put to a contestant: so many at a time, each checked for a whole answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from answers import CONTENT_LENGTH, PLAIN_CONTENT


async def at_a_time(width: int, total: int, job: Callable[[], Awaitable[None]]) -> None:
    """Run ``job`` ``total`` times, ``width`` at a time."""
    tickets = iter(range(total))

    async def work() -> None:
        for _ in tickets:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


def plain_job(contestant: Any) -> Callable[[], Awaitable[None]]:
    """One plain request."""

    async def ask() -> None:
        content = await contestant.plain()
        if len(content) != len(PLAIN_CONTENT):
            raise ValueError(f"an answer of {len(content)} characters, not {len(PLAIN_CONTENT)}")

    return ask


def stream_job(contestant: Any, chunks: int, first_after: list[float]) -> Callable[[], Awaitable[None]]:
    """One stream of so many chunks; seconds to its first chunk are appended to ``first_after``."""
    # The first chunk holds the role and the last one the usage.
    expected = (chunks - 2) * CONTENT_LENGTH

    async def ask() -> None:
        parts: list[str] = []
        begun = time.perf_counter()

        def seen(content: str) -> None:
            if not parts:
                first_after.append(time.perf_counter() - begun)
            parts.append(content)

        await contestant.stream(seen)
        size = len("".join(parts))
        if len(parts) != chunks or size != expected:
            raise ValueError(f"{len(parts)} chunks with {size} characters, not {chunks} with {expected}")

    return ask
