"""People at a web application of several workers, shared out by the kernel or as it has done."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Iterator

KERNEL = (0.45, 0.25, 0.18, 0.12)
"""Shares of the users of four workers: one of uvicorn's, which accept from one socket, was seen to get 34 to 52 %.

What the kernel does differs from run to run, and was 29 % with the workers here: what is to be compared uses these.
"""


@contextlib.contextmanager
def listening(workers: int, *, kernel: bool) -> Iterator[list[socket.socket]]:
    """A listening socket for each worker to inherit; with ``kernel`` the same for all."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2048))
            for _ in range(1 if kernel else workers)
        ]
        yield made * workers if kernel else made


class Application:
    """The application as its users see it: a connection for each question."""

    def __init__(self, sockets: list[socket.socket], chance: random.Random) -> None:
        self._ports = [one.getsockname()[1] for one in sockets]
        self._chance = chance
        self.answers: list[tuple[float, float, str]] = []
        """When it was asked and answered, and by which worker."""
        self.failed = 0

    async def ask(self, asked: float) -> None:
        """One question; ``asked`` is when its user came."""
        # Drawn for one worker too, so that all see the same users.
        place = self._chance.choices(range(len(KERNEL)), KERNEL)[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[place % len(self._ports)])
        with contextlib.closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if b" 200 " in head:
            self.answers.append((asked, time.monotonic(), body.decode()))
        else:
            self.failed += 1
