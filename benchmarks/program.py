"""A server program in the foreground, ended by its process and no name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

STARTING = 240.0


class Program:
    """Starts ``command`` and waits until it says ``ready``; may be started again after it has stopped."""

    def __init__(self, *command: str, ready: bytes, environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._ready = ready
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._said: list[bytes] = []

    @property
    def said(self) -> str:
        """What it has written to both of its outputs."""
        return b"".join(self._said).decode(errors="replace")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it; it listens when this returns. Raises RuntimeError with its own words if it does not."""
        self._said.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
        )
        listening = asyncio.Event()
        # Read to its end, because a program stops at a full pipe.
        self._reading = asyncio.create_task(self._read(listening))
        try:
            async with asyncio.timeout(STARTING):
                await asyncio.wait(
                    [self._reading, waiting := asyncio.create_task(listening.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            waiting.cancel()
            if not listening.is_set():
                await self.stop()
        if not listening.is_set():
            raise RuntimeError(f"{self._command[0]} did not start: {self.said[-1000:]}")

    async def stop(self) -> None:
        """End it, by force after a while."""
        process, self._process = self._process, None
        if process is None or self._reading is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await self._reading

    async def _read(self, listening: asyncio.Event) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._said.append(line)
            if self._ready in line:
                listening.set()
