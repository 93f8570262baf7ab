"""Waiting for what no event announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count


async def until(condition: Callable[[], object], *, seconds: float | None = None) -> None:
    """Let the event loop run, and then time pass, until ``condition`` holds; TimeoutError after ``seconds``."""
    async with asyncio.timeout(seconds):
        for turn in count(1):
            if condition():
                return
            await asyncio.sleep(0 if turn % 100 else 0.001)


async def settled(turns: int = 50) -> None:
    """Until nobody has anything to do: real turns of the loop, and no time."""
    for _ in range(turns):
        await asyncio.sleep(0)
