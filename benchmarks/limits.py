"""A hidden limit found over real sockets. ``python benchmarks/limits.py [--seconds 60]``

Two servers on loopback admit at most 60 and 500 requests at a time and answer each after 0.2 to 8 s, the length of a
short and of a long answer; a bulk job without end is sent to them. Measured from five seconds after the start: the
share of the server's slots that is kept busy, and the share of attempts that is refused. With ``--moving`` the limit
falls from 500 to 50 and comes back, and with ``--outage`` it is nothing for a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Iterator

from limited_server import LimitedServer

from deepseek_async import AsyncDeepSeek

SHORTEST, LONGEST = 0.2, 8.0
SETTLING = 5.0
LEAST_BUSY = 0.93
MOST_REFUSED = 0.015


def durations_of(seed: int) -> Iterator[float]:
    """Log-uniform: as many answers of 0.2 to 1.3 s as of 1.3 to 8 s."""
    chance = random.Random(seed)
    while True:
        yield math.exp(chance.uniform(math.log(SHORTEST), math.log(LONGEST)))


def prompts() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"prompt {number}"


async def job(client: AsyncDeepSeek, failures: list[object]) -> None:
    async for result in client.batch.map(prompts()):
        if result.error is not None:
            failures += [result.error]


@contextlib.asynccontextmanager
async def running(limit: int) -> AsyncIterator[tuple[LimitedServer, AsyncDeepSeek, list[object]]]:
    """A server with ``limit``, a client with a job without end, and the rows of it that failed."""
    durations = durations_of(limit)
    async with (
        LimitedServer(limit, lambda: next(durations)) as server,
        AsyncDeepSeek(api_key="sk-benchmark", base_url=server.url) as client,
    ):
        failures: list[object] = []
        task = asyncio.create_task(job(client, failures))
        try:
            yield server, client, failures
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def fixed(limit: int, seconds: float) -> bool:
    async with running(limit) as (server, client, failures):
        await asyncio.sleep(SETTLING)
        found_after = client.statistics().models[0].window
        server.begin_measuring()
        cpu = time.process_time()
        await asyncio.sleep(seconds)
        busy, refused = server.kept_busy(), server.refused / max(1, server.attempts)
        cpu = time.process_time() - cpu
        good = busy >= LEAST_BUSY and refused <= MOST_REFUSED and not failures
        print(
            f"limit {limit}: window {found_after.size} after {SETTLING:.0f} s, then for {seconds:.0f} s "
            f"{busy:.1%} kept busy, {refused:.2%} of {server.attempts} attempts refused, {server.served} served, "
            f"{len(failures)} rows failed, {cpu / seconds:.0%} of a core  {'ok' if good else 'NOT REACHED'}",
            flush=True,
        )
        return good


async def moving() -> bool:
    """Row Q2: at most 40 refusals in the two minutes after the fall, and back at full load."""
    async with running(500) as (server, _, failures):
        await asyncio.sleep(15)
        server.limit = 50
        server.begin_measuring()
        await asyncio.sleep(120)
        fallen = server.refused
        server.limit = 500
        began = time.monotonic()
        async with asyncio.timeout(180):
            await server.when(lambda: server.in_flight > 450)
        back = time.monotonic() - began
        good = fallen <= 40 and not failures
        print(f"500 to 50: {fallen} refused in two minutes; 50 to 500: full after {back:.0f} s; {len(failures)} failed")
        return good


async def outage() -> bool:
    """Row Q3: nothing is admitted for a minute."""
    async with running(60) as (server, _, failures):
        await asyncio.sleep(10)
        server.limit = 0
        await server.when(lambda: server.in_flight == 0)
        server.begin_measuring()
        await asyncio.sleep(60)
        asked = server.attempts
        server.limit = 60
        began = time.monotonic()
        async with asyncio.timeout(60):
            await server.when(lambda: server.in_flight > 54)
        back = time.monotonic() - began
        good = asked <= 35 and back <= 30 and not failures
        print(f"a minute of nothing: {asked} attempts; full load after {back:.0f} s; {len(failures)} rows failed")
        return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--moving", action="store_true")
    parser.add_argument("--outage", action="store_true")
    arguments = parser.parse_args()
    if arguments.moving:
        return int(not asyncio.run(moving()))
    if arguments.outage:
        return int(not asyncio.run(outage()))
    reached = [asyncio.run(fixed(limit, arguments.seconds)) for limit in (60, 500)]
    return int(not all(reached))


if __name__ == "__main__":
    raise SystemExit(main())
