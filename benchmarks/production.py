"""What the production parts cost: a cache hit, and the CPU that metrics, audit and budget add to a call.

    python benchmarks/production.py [--calls N] [--rounds N]

Calls are made through the whole client, once against a server process of our own on loopback, and once with the
sockets replaced by an answer that is there: what a write to a socket costs depends on what the server happens to
do meanwhile, by more than what is measured here. CPU is user + system of the client's process with all its threads,
the median over rounds. Configurations take turns, so that what the machine does beside it falls on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from deepseek_async import AsyncDeepSeek
from deepseek_async.admission.budget import Budget
from deepseek_async.cache import Cache
from deepseek_async.content import ContentFilter
from deepseek_async.observe.audit import AuditLog
from deepseek_async.observe.metrics import Metrics

MESSAGES = [{"role": "user", "content": "Explain the difference between a process and a thread. " * 20}]
REQUEST: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": MESSAGES,
    "temperature": 0,
    "thinking": {"type": "disabled"},
    "max_tokens": 1000,
}
BODY = json.dumps(
    {
        "id": "bench",
        "object": "chat.completion",
        "created": 1,
        "model": "deepseek-flash",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "A process owns. " * 100},
            },
        ],
        "usage": {"prompt_tokens": 220, "completion_tokens": 400, "total_tokens": 620},
    },
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CONCURRENCY = 50


class Server(asyncio.Protocol):
    """Answers every request the same, in as few steps as Python allows."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._transport.write(ANSWER)


def serve(ready: Any) -> None:
    """The server's process; tells its port, and ends with its parent."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, ready.poll, None)

    with suppress(EOFError, KeyboardInterrupt):
        asyncio.run(main())
    os._exit(0)


async def calls(client: AsyncDeepSeek, number: int) -> float:
    """CPU seconds of this process for ``number`` calls."""
    left = iter(range(number))

    async def worker() -> None:
        for _ in left:
            await client.chat.completions.create(**REQUEST)

    begun = time.process_time()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return time.process_time() - begun


async def hits(url: str, cache: Cache, number: int) -> float:
    """Microseconds for one cached answer, the median of ``number`` one after another."""
    taken = []
    async with AsyncDeepSeek(api_key="sk-none", base_url=url, cache=cache) as client:
        await client.chat.completions.create(**REQUEST)
        await cache.aclose()  # so that it is in the file; the next use opens it again
        for _ in range(number):
            begun = time.perf_counter()
            answer = await client.chat.completions.create(**REQUEST)
            taken.append(time.perf_counter() - begun)
            assert answer.cached is not None
    return 1e6 * statistics.median(taken)


async def measure_hits(url: str, folder: Path, number: int) -> dict[str, float]:
    """Microseconds of a hit, the whole ``create`` with its checks, from memory and from SQLite."""
    return {
        "from memory": await hits(url, Cache(), number),
        "from SQLite": await hits(url, Cache(path=folder / "answers.sqlite", memory_bytes=0), number),
    }


class AnswerAtOnce:
    """A transport without a network."""

    status = 200
    headers: Mapping[str, str] = {"x-ds-trace-id": "bench"}

    async def send(self, outgoing: Any, watchdog: Any) -> AnswerAtOnce:
        del outgoing, watchdog
        return self

    async def read(self, limit: int) -> bytes:
        del limit
        return BODY

    def release(self) -> None:
        """There is nothing to release."""


Make = Callable[[], dict[str, Any]]


async def measure_added(
    url: str,
    folder: Path,
    number: int,
    rounds: int,
    *,
    sockets: bool,
) -> dict[str, float]:
    """Microseconds of CPU that each configuration adds to a call."""
    configurations: dict[str, Make] = {
        "nothing": dict,
        "metrics": lambda: {"listeners": [Metrics()]},
        "audit": lambda: {"listeners": [AuditLog(folder / "audit")]},
        "budget": lambda: {"budget": Budget(1e6, path=folder / "budget.sqlite")},
        "metrics + audit + budget": lambda: {
            "listeners": [Metrics(), AuditLog(folder / "audit2")],
            "budget": Budget(1e6, path=folder / "budget2.sqlite"),
        },
        "content filter": lambda: {"content_filter": ContentFilter()},
    }
    clients = {
        name: AsyncDeepSeek(api_key="sk-none", base_url=url, max_concurrency=CONCURRENCY, **make())
        for name, make in configurations.items()
    }
    cpu: dict[str, list[float]] = {name: [] for name in clients}
    for client in clients.values():
        await calls(client, number // 4)
        if not sockets:
            client._context.caller().transport = cast(Any, AnswerAtOnce())  # noqa: SLF001  a wire that costs nothing
    for _ in range(rounds):
        for name, client in clients.items():
            cpu[name].append(await calls(client, number))
    for client in clients.values():
        await client.aclose()
    per_call = {name: 1e6 * statistics.median(taken) / number for name, taken in cpu.items()}
    base = per_call.pop("nothing")
    # A round's own difference: what the machine did meanwhile is in both.
    added = {
        name: 1e6 * statistics.median(one - none for one, none in zip(cpu[name], cpu["nothing"], strict=True)) / number
        for name in per_call
    }
    return {"a call with nothing": base, **{f"+ {name}": value for name, value in added.items()}}


async def main(number: int, rounds: int) -> dict[str, dict[str, float]]:
    """All figures."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{await asyncio.to_thread(here.recv)}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = {"a hit, wall time": await measure_hits(url, Path(folder), number)}
            for sockets in (False, True):
                place = Path(folder) / str(sockets)
                added = await measure_added(url, place, number, rounds, sockets=sockets)
                found["CPU over sockets" if sockets else "CPU without sockets"] = added
            return found
    finally:
        server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    run: Awaitable[dict[str, dict[str, float]]] = main(options.calls, options.rounds)
    try:
        import uvloop

        figures = uvloop.run(run)
    except ImportError:
        figures = asyncio.run(run)
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
    else:
        for kind, group in figures.items():
            print(f"{kind}, µs")
            for name, value in group.items():
                print(f"  {name:<40} {value:8.1f}")
