"""One process of the account: ``python -m processes.member PLAN``.

Prints ``ready``, begins when a line comes in, ends when its standard input does, and prints what it has seen as one
line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import sys
import time
from collections import Counter
from typing import Any

from prompt import MODEL

from deepseek_async import AsyncDeepSeek

STAGGERED = 1.0
"""Seconds over which the users of a process come."""


class Bulk:
    """Rows without end."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._name = plan["name"]
        self._failures: Counter[str] = Counter()

    async def run(self, client: AsyncDeepSeek) -> None:
        async for result in client.batch.map(f"{self._name}/{number}" for number in itertools.count()):
            if result.error is not None:
                self._failures[type(result.error).__name__] += 1

    def figures(self) -> dict[str, Any]:
        return {"failures": dict(self._failures)}


class Users:
    """People who ask, read the streamed answer and ask again."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._name, self._users = plan["name"], plan["users"]
        self._numbers = itertools.count()
        self._answers: list[tuple[float, float, float]] = []
        self._failures: Counter[str] = Counter()

    async def run(self, client: AsyncDeepSeek) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._users):
                group.create_task(self._user(client, number * STAGGERED / self._users))

    async def _user(self, client: AsyncDeepSeek, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            asked = time.monotonic()
            first = 0.0
            messages = [{"role": "user", "content": f"{self._name}/{next(self._numbers)}"}]
            try:
                async with await client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
                    async for _ in stream:
                        first = first or time.monotonic()
            except Exception as error:  # noqa: BLE001  whatever a client raises is what its user gets
                self._failures[type(error).__name__] += 1
                await asyncio.sleep(1)
            else:
                self._answers.append((asked, first, time.monotonic()))

    def figures(self) -> dict[str, Any]:
        return {"answers": self._answers, "failures": dict(self._failures)}


class Web:
    """A worker of a web application: the workers accept from one socket, as those of uvicorn do."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._name = plan["name"]
        self._listening = socket.socket(fileno=plan["socket"])
        self._numbers = itertools.count()
        self._failures: Counter[str] = Counter()

    async def run(self, client: AsyncDeepSeek) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(client))
                await writer.drain()

        async with await asyncio.start_server(handle, sock=self._listening, backlog=2048) as server:
            await server.serve_forever()

    async def _answer(self, client: AsyncDeepSeek) -> bytes:
        messages = [{"role": "user", "content": f"{self._name}/{next(self._numbers)}"}]
        try:
            await client.chat.completions.create(model=MODEL, messages=messages)
        except Exception as error:  # noqa: BLE001  whatever a client raises is what its user gets
            self._failures[type(error).__name__] += 1
            return b"HTTP/1.1 502 -\r\nconnection: close\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + self._name.encode()

    def figures(self) -> dict[str, Any]:
        return {"failures": dict(self._failures)}


KINDS = {"bulk": Bulk, "users": Users, "web": Web}


async def work(plan: dict[str, Any]) -> None:
    """Do as planned until standard input ends."""
    told = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    load = KINDS[plan["kind"]](plan)
    async with AsyncDeepSeek() as client:
        print("ready", flush=True)
        if not await told.readline():
            return
        task = asyncio.create_task(load.run(client))
        ended = asyncio.create_task(told.read())
        await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        print(json.dumps(load.figures()), flush=True)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
