"""A small HTTP proxy on loopback: it opens tunnels, forwards requests in absolute form, and may want a password."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
UNKNOWN = (
    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
)


class HTTPProxy:
    """What it is shown of requests is kept in ``heads``. All names lead to 127.0.0.1.

    ``answers`` are written in turn in the place of its own answer to CONNECT, the last one again and again; after one
    that is no 2xx it closes. None stands for no answer at all.
    """

    def __init__(
        self,
        *,
        answers: Sequence[bytes | None] = (ESTABLISHED,),
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()
        """Set when a request has arrived."""
        self.connections = 0
        self._answers = list(answers)
        self._password = password
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def with_user(self, name: str) -> str:
        """Its URL with ``name``, user name and password."""
        return self.url.replace("://", f"://{name}@")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.transport.abort()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self._head(reader)
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if not self._knows(head):
            writer.write(UNKNOWN)
            await writer.drain()
            return
        if method == b"CONNECT":
            answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
            if answer is None:
                await reader.read()
                return
            writer.write(answer)
            await writer.drain()
            if not re.search(rb"HTTP/1\.[01] 2", answer):
                return
            await self._carry(reader, writer, int(target.rpartition(b":")[2]))
        else:
            await self._forward(reader, writer, head, urlsplit(target.decode()).port or 80)

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.asked.set()
        return head

    def _knows(self, head: bytes) -> bool:
        if self._password is None:
            return True
        expected = b"proxy-authorization: basic " + base64.b64encode(self._password.encode()).lower()
        return expected in head.lower().split(b"\r\n")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Bytes in both directions, until either side has no more."""
        back, onward = await asyncio.open_connection("127.0.0.1", port)
        await _until_one_ends(onward, _copy(reader, onward), _copy(back, writer))

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, port: int
    ) -> None:
        """Requests in absolute form, one after another over one connection on either side."""
        back, onward = await asyncio.open_connection("127.0.0.1", port)

        async def requests(head: bytes) -> None:
            while True:
                first, *lines = head.split(b"\r\n")
                method, target, version = first.split(b" ")
                path = target.split(b"/", 3)[3]
                kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
                onward.write(b"\r\n".join([b"%b /%b %b" % (method, path, version), *kept]))
                length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
                onward.write(await reader.readexactly(length))
                await onward.drain()
                head = await self._head(reader)

        await _until_one_ends(onward, requests(head), _copy(back, writer))


async def _until_one_ends(onward: asyncio.StreamWriter, *directions) -> None:
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        onward.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(65536):
        writer.write(block)
        await writer.drain()
