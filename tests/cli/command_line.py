"""Runs the real command as a child process, on pipes or on a terminal of its own."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from support.programs import environment_with

from deepseek_async.simulator import Simulator

Serve = Callable[..., Awaitable[Simulator]]

KEY = "sk-canary-0123456789abcdef"
SECONDS = 120.0  # the longest wait for anything; reached only when something is broken

_BECOME = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'deepseek_async', *sys.argv[1:]])"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class CommandLine:
    """``deepseek-async`` in a folder, with an environment that holds nothing but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment_with(
            PATH=os.environ["PATH"],
            HOME=str(folder),
            LANG="C.UTF-8",
            DEEPSEEK_API_KEY=KEY,
            # Nothing listens on port 1: a test that forgets to name its server never reaches the real one.
            DEEPSEEK_BASE_URL="http://127.0.0.1:1",
        )
        self._processes: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: str, before: str = "", **options: Any) -> asyncio.subprocess.Process:
        """Start the command, in a process that has done ``before``: a preexec_fn is not safe beside threads."""
        first = ["-c", f"{before}; {_BECOME}"] if before else ["-m", "deepseek_async"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *first, *arguments),
            **{
                "cwd": self.folder,
                "env": self.environment,
                "stdin": asyncio.subprocess.DEVNULL,
                "stdout": asyncio.subprocess.PIPE,
                "stderr": asyncio.subprocess.PIPE,
                **options,
            },
        )
        self._processes.append(process)
        return process

    async def run(self, *arguments: str, stdin: str | None = None) -> Ended:
        piped = {} if stdin is None else {"stdin": asyncio.subprocess.PIPE}
        process = await self.start(*arguments, **piped)
        return await self.end_of(process, stdin)

    async def end_of(self, process: asyncio.subprocess.Process, stdin: str | None = None) -> Ended:
        """What the command wrote until its end. No test may ever see the key in it."""
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
        ended = Ended(process.returncode or 0, (out or b"").decode(), (err or b"").decode())
        assert KEY not in ended.out + ended.err
        return ended

    async def aclose(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    def write(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def prompts(self, number: int, name: str = "in.jsonl") -> Path:
        return self.write(name, *(f'{{"custom_id": "row-{row}", "prompt": "Question {row}"}}' for row in range(number)))

    def lines(self, name: str = "out.jsonl") -> list[dict[str, Any]]:
        path = self.folder / name
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def written(self, name: str = "out.jsonl") -> int:
        """How many lines a file has; unlike ``lines`` it minds no line that is being written."""
        path = self.folder / name
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def names(self, name: str = "out.jsonl") -> list[str]:
        return [line["custom_id"] for line in self.lines(name)]


class Terminal:
    """A pseudo-terminal with a command on it; what the command shows is collected in ``shown``."""

    def __init__(self, columns: int = 100) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.shown = ""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._master, self._read)

    async def start(self, command: CommandLine, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        command.environment["TERM"] = "xterm-256color"
        process = await command.start(
            *arguments,
            **{
                "stdin": self._slave,
                "stdout": self._slave,
                "stderr": self._slave,
                "start_new_session": True,
                # The terminal's Ctrl-C becomes a signal only for the session that it controls.
                "before": "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)",
                **options,
            },
        )
        os.close(self._slave)
        self._slave = -1
        return process

    async def until(self, condition: str | Callable[[str], bool]) -> None:
        """Returns when the text, or what the condition looks for, has been shown."""
        met = (lambda shown: condition in shown) if isinstance(condition, str) else condition
        try:
            async with asyncio.timeout(SECONDS):
                await self._until(met)
        except TimeoutError:
            raise AssertionError(f"not shown: {condition!r}; shown: {self.shown!r}") from None

    async def _until(self, met: Callable[[str], bool]) -> None:
        while not met(self.shown):
            self._more.clear()
            await self._more.wait()

    async def press_until(self, key: str, condition: Callable[[str], bool]) -> None:
        """Press a key until it has its effect: Python's input() misses a signal between its prompt and its wait."""
        async with asyncio.timeout(SECONDS):
            while not condition(self.shown):
                self.type(key)
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._until(condition)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def end_of(self, process: asyncio.subprocess.Process) -> int:
        async with asyncio.timeout(SECONDS):
            code = await process.wait()
        await self.until(lambda _: self._master < 0)
        assert KEY not in self.shown
        return code

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when nobody holds the other end any more
            data = b""
        if data:
            self.shown += data.decode("utf-8", "replace")
        else:
            self.close()
        self._more.set()

    def close(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = -1
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


def interrupt(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)
