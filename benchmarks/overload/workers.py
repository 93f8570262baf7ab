"""A fixed number of rows at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator


async def at_once(
    width: int,
    prompts: Iterator[str],
    ask: Callable[[str], Awaitable[None]],
    ended: Callable[[Exception | None], None],
) -> None:
    """Ask all ``prompts``, ``width`` at a time."""

    async def work() -> None:
        for prompt in prompts:
            try:
                await ask(prompt)
            except Exception as error:  # noqa: BLE001  whatever a client raises is what its user gets
                ended(error)
            else:
                ended(None)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())
