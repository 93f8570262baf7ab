"""Many endless streams held open at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from load import at_a_time, plain_job
from measure import Stopwatch, resident_kb

WAVE = 100
"""Streams opened together, so that memory at the peak is that of open streams and not of opening them."""


class Held:
    """How the streams fare."""

    def __init__(self) -> None:
        self.begun = 0
        self.events = 0
        self.errors = 0


@asynccontextmanager
async def hold_open(
    contestant: Any,
    count: int,
    seen: Callable[[str], None],
    *,
    patience: float,
) -> AsyncIterator[Held]:
    """Hold ``count`` streams open; inside, all have begun, or seconds of patience have passed.

    ``seen`` is told every content but that of the first chunk, which is empty. After the block, ``errors`` counts
    the streams that did not begin or did not last.
    """
    held = Held()

    def received(content: str) -> None:
        if content:
            held.events += 1
            seen(content)
        else:
            held.begun += 1

    tasks: list[asyncio.Task[None]] = []
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and held.begun < count:
        if len(tasks) < count and held.begun == len(tasks):
            wave = min(WAVE, count - len(tasks))
            tasks += [asyncio.create_task(contestant.stream(received)) for _ in range(wave)]
        await asyncio.sleep(0.02)
    try:
        yield held
    finally:
        ended = [task for task in tasks if task.done()]
        held.errors = len(ended) + count - held.begun
        for task in ended[:3]:
            print(f"a stream ended: {task.exception()!r}", file=sys.stderr)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def memory_of_open_streams(contestant: Any, count: int, *, seconds: float = 7) -> dict[str, float]:
    """Resident memory that each open stream adds, while events come in now and then."""
    await at_a_time(10, 20, plain_job(contestant))
    before = resident_kb()
    with Stopwatch() as watch:
        async with hold_open(contestant, count, lambda _: None, patience=60) as held:
            await asyncio.sleep(seconds)
            full = resident_kb()
    if held.events < count:
        raise RuntimeError(f"{held.events} events for {count} streams: the streams were not alive")
    return {
        "units": count,
        "kb_per_stream": (full - before) / count,
        "errors": held.errors,
        "cpu_us": watch.cpu / count * 1e6,
    }
