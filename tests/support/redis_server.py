"""A real Redis on loopback, from the machine's own package, for tests that kill and stop it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from ports import ReservedPort

from deepseek_async.cache import remote
from deepseek_async.cache.remote import RedisTier
from support.programs import needed


def let_redis_take(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that works may be given longer than the 50 ms of a client: a busy machine holds it up for as long."""
    monkeypatch.setattr(remote, "SLOW", seconds)


def requests_to_redis(monkeypatch: pytest.MonkeyPatch) -> list[RedisTier]:
    """Gets an entry for each request of this process to any Redis from now on."""
    made: list[RedisTier] = []
    send = RedisTier._within_time

    async def noted(tier: RedisTier, request: Awaitable[Any]) -> Any:
        made.append(tier)
        return await send(tier, request)

    monkeypatch.setattr(RedisTier, "_within_time", noted)
    return made


class RedisServer:
    """``redis-server`` without persistence."""

    def __init__(self, folder: Path) -> None:
        self._program = needed("redis-server")
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._port = ReservedPort()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port.number}/0"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kill()
        self._port.release()

    async def start(self) -> None:
        options = ["--port", str(self._port.number), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(120):
            async for line in self._process.stdout:
                if b"Ready to accept connections" in line:
                    return
        raise AssertionError("redis-server did not start")

    async def kill(self) -> None:
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()
            self._process = None

    def stop(self) -> None:
        """Let it hold its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def client_of_redis(folder: Path) -> Iterator[redis.Redis]:
    """A client of a Redis of its own, where no event loop runs."""
    with asyncio.Runner() as runner:
        started = RedisServer(folder)
        runner.run(started.start())
        client = redis.Redis.from_url(started.url)
        yield client
        client.close()
        runner.run(started.__aexit__(None, None, None))
