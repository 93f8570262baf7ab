"""What is measured of a gateway."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from gateways.asking import Connection, request
from gateways.contestants import Gateway

AT_ONCE = 16
SETTLED = 0.5
"""Seconds after which streams have begun, and cost only their events."""
WAVE = 100


async def plain(gateway: Gateway, count: int) -> float:
    """Microseconds of CPU per plain request."""
    asked = request(gateway.model, stream=False)
    connections = [await Connection.to(gateway.url) for _ in range(AT_ONCE)]

    async def turns(connection: Connection, times: int) -> None:
        for _ in range(times):
            await connection.whole(asked)

    await asyncio.gather(*(turns(connection, 5) for connection in connections))
    each = count // AT_ONCE
    before = gateway.cpu()
    await asyncio.gather(*(turns(connection, each) for connection in connections))
    taken = gateway.cpu() - before
    _leave(connections)
    return taken / (each * AT_ONCE) * 1e6


async def chunk(gateway: Gateway, streams: int, seconds: float) -> float:
    """Microseconds of CPU per event of open streams."""
    connections = [await _streaming(gateway) for _ in range(streams)]
    await asyncio.gather(*(connection.began.wait() for connection in connections))
    await asyncio.sleep(SETTLED)
    before, seen = gateway.cpu(), _events(connections)
    await asyncio.sleep(seconds)
    taken, arrived = gateway.cpu() - before, _events(connections) - seen
    _leave(connections)
    return taken / arrived * 1e6


async def latency(url: str, model: str, per_second: int, seconds: float) -> list[float]:
    """Seconds for each of the plain requests that are sent at so many a second, whatever the answers do."""
    asked = request(model, stream=False)
    free = [await Connection.to(url) for _ in range(32)]
    every = list(free)
    taken: list[float] = []

    async def one() -> None:
        connection = free.pop() if free else await Connection.to(url)
        if connection not in every:
            every.append(connection)
        taken.append(await connection.whole(asked))
        free.append(connection)

    began, tasks = time.perf_counter(), []
    for number in range(int(per_second * seconds)):
        ahead = began + number / per_second - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    _leave(every)
    return taken[len(taken) // 10 :]


async def memory(gateway: Gateway, streams: int) -> tuple[float, int]:
    """Kilobytes that each of the open streams adds, and how many of them did not last."""
    before = gateway.resident_kb()
    connections: list[Connection] = []
    for _ in range(0, streams, WAVE):
        opened = [await _streaming(gateway) for _ in range(WAVE)]
        connections += opened
        async with asyncio.timeout(30):
            await asyncio.gather(*(connection.began.wait() for connection in opened))
    await asyncio.sleep(2)
    added = gateway.resident_kb() - before
    lost = sum(connection.lost for connection in connections)
    _leave(connections)
    return added / streams, lost


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    ranks = sorted(seconds)
    return statistics.median(ranks) * 1000, ranks[int(len(ranks) * 0.99)] * 1000


async def _streaming(gateway: Gateway) -> Connection:
    connection = await Connection.to(gateway.url)
    connection.stream(request(gateway.model, stream=True))
    return connection


def _events(connections: Sequence[Connection]) -> int:
    return sum(connection.events for connection in connections)


def _leave(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.leave()
