"""An upstream of endless streams that notes when each request ends, and callers that leave them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from answers import opening_event, stamped_halves, stream_head
from gateways.asking import Connection, request

AT_ONCE = 50
APART = 0.002
"""Seconds between two callers that leave: up to 500 a second."""
_MARK = re.compile(rb"mark-(\d+)")
_PATIENCE = 10.0


class Endings:
    """When the request of each mark ended, by the clock of this process."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self._count = 0
        self._reached = asyncio.Event()

    def note(self, mark: int) -> None:
        """The request of ``mark`` has ended."""
        self.at[mark] = time.perf_counter()
        if len(self.at) >= self._count:
            self._reached.set()

    async def all_of(self, last: int) -> None:
        """Wait until so many have ended."""
        self._count = last
        if len(self.at) < last:
            self._reached.clear()
            await self._reached.wait()


class _Upstream(asyncio.Protocol):
    def __init__(self, endings: Endings) -> None:
        self._endings = endings
        self._mark: int | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        found = _MARK.search(data)
        if found is not None:
            self._mark = int(found[1])
            before, after = stamped_halves()
            self._transport.write(stream_head() + opening_event() + before + b"0" * 19 + after)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._mark is not None:
            self._endings.note(self._mark)


@asynccontextmanager
async def upstream(endings: Endings) -> AsyncIterator[str]:
    """Yield the URL of the upstream."""
    server = await asyncio.get_running_loop().create_server(lambda: _Upstream(endings), "127.0.0.1", 0, backlog=4096)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def leavers(url: str, model: str, count: int, endings: Endings) -> list[float]:
    """Seconds from a caller's leaving to the end of its request upstream; infinite if it never ended."""
    taken: list[float] = []
    endings.at.clear()
    for first in range(0, count, AT_ONCE):
        marks = range(first, min(first + AT_ONCE, count))
        connections = await asyncio.gather(*(Connection.to(url) for _ in marks))
        for mark, connection in zip(marks, connections, strict=True):
            connection.stream(request(model, stream=True, mark=f"mark-{mark}"))
        await asyncio.gather(*(connection.began.wait() for connection in connections))
        left = {}
        for mark, connection in zip(marks, connections, strict=True):
            left[mark] = time.perf_counter()
            connection.leave()
            await asyncio.sleep(APART)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await endings.all_of(last=marks[-1] + 1)
        taken += [endings.at.get(mark, float("inf")) - left[mark] for mark in marks]
    return taken
