"""The processes of one account, and the machine's Redis where they are to share by it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from pair import HERE, without_proxies
from ports import ReservedPort
from prompt import KEY

STARTING = ENDING = 180.0
"""Seconds; 16 processes begin at the same time, perhaps on a busy machine."""


class MemberError(Exception):
    """A process gave no figures; the message is the last thing it said."""


class Member:
    """One process; see ``member.py``."""

    def __init__(self, plan: dict[str, Any], environment: dict[str, str], sockets: tuple[int, ...] = ()) -> None:
        self.name: str = plan["name"]
        self._plan = plan
        self._environment = environment
        self._sockets = sockets

    async def start(self) -> None:
        """Start it; it waits to be told to begin when this returns."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "processes.member", json.dumps(self._plan)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            pass_fds=self._sockets,
            limit=1 << 24,
        )
        # Read as it comes: a full pipe would stop the process.
        self._said = asyncio.create_task(self._read_errors())
        await self._line(STARTING)

    def begin(self) -> None:
        """Let it work."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")

    async def figures(self) -> dict[str, Any]:
        """Tell it to end, and read what it has seen."""
        assert self._process.stdin
        self._process.stdin.close()
        figures: dict[str, Any] = json.loads(await self._line(ENDING))
        return figures

    async def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._said

    def stop(self) -> None:
        """Let it hold its connections and do nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a stopped process go on."""
        self._process.send_signal(signal.SIGCONT)

    async def _line(self, seconds: float) -> bytes:
        assert self._process.stdout
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise MemberError(f"{self.name}: no result within {seconds:g} s") from None
        if not line:
            said = (await self._said).decode().strip().splitlines()
            raise MemberError(f"{self.name}: {said[-1][:200] if said else 'ended without a word'}")
        return line

    async def _read_errors(self) -> bytes:
        assert self._process.stderr
        return await self._process.stderr.read()


class Fleet:
    """The processes of one account, with a cache folder of their own that nobody has used before."""

    def __init__(self, url: str, folder: Path, shared: str, stack: contextlib.AsyncExitStack) -> None:
        self.environment = {
            **without_proxies(),
            "PYTHONPATH": str(HERE),
            "DEEPSEEK_API_KEY": KEY,
            "DEEPSEEK_BASE_URL": url,
            "DEEPSEEK_ASYNC_CACHE_DIR": str(folder),
            "DEEPSEEK_ASYNC_SHARED": shared,
        }
        self._stack = stack
        self.members: list[Member] = []

    async def ready(self, plans: list[dict[str, Any]], sockets: tuple[int, ...] = ()) -> None:
        """Start one process for each plan, all to begin together."""
        started = [self.member(plan, sockets) for plan in plans]
        await asyncio.gather(*(one.start() for one in started))
        self.members += started

    def member(self, plan: dict[str, Any], sockets: tuple[int, ...] = ()) -> Member:
        """A process that is not started, and is ended with the fleet."""
        made = Member(plan, self.environment, sockets)
        self._stack.push_async_callback(_end, made)
        return made

    def begin(self) -> None:
        """Let all work."""
        for one in self.members:
            one.begin()

    async def figures(self) -> dict[str, dict[str, Any]]:
        """End all, and read what each has seen."""
        told = await asyncio.gather(*(one.figures() for one in self.members))
        return dict(zip((one.name for one in self.members), told, strict=True))


async def _end(member: Member) -> None:
    if hasattr(member, "_said"):
        await member.kill()


@contextlib.asynccontextmanager
async def fleet(url: str, shared: str) -> AsyncIterator[Fleet]:
    """A fleet without processes."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            yield Fleet(url, Path(folder), shared, stack)


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The URL of a ``redis-server`` of our own, which keeps nothing."""
    port = ReservedPort()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        options = ["--port", str(port.number), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        try:
            if not any("Ready to accept connections" in line for line in process.stdout):
                raise MemberError("redis-server did not start")
            yield f"redis://127.0.0.1:{port.number}/0"
        finally:
            process.kill()
            process.communicate()
            port.release()
