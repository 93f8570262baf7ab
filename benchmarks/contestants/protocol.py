"""A hand-written ``asyncio.Protocol``: the floor. It knows this server only, and is no client to use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import orjson
from contestants.tuned_typed import Chunk
from prompt import KEY, PLAIN, STREAMED

END_OF_STREAM = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection with one request at a time."""

    _decode = msgspec.json.Decoder(Chunk).decode
    _seen: Callable[[str], None] | None = None
    _ended: asyncio.Future[bytes]
    _rest = b""
    _tail = b""
    transport: Any

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes, seen: Callable[[str], None] | None) -> asyncio.Future[bytes]:
        """Send a request; the future has the body of a plain answer, and of a stream nothing."""
        self._seen = seen
        self._ended = self._loop.create_future()
        self.transport.write(request)
        return self._ended

    def data_received(self, data: bytes) -> None:
        # Its last bytes may be spread over several reads.
        self._tail = (self._tail + data[-5:])[-5:]
        if self._rest:
            data = self._rest + data
        self._rest = b""
        if self._seen is not None:
            self._take_events(data)
            return
        head_size = data.find(b"\r\n\r\n") + 4
        length_at = data.find(b"Content-Length: ")
        size = head_size + int(data[length_at + 16 : data.find(b"\r", length_at)])
        if len(data) < size:
            self._rest = data
        else:
            self._ended.set_result(data[head_size:size])

    def _take_events(self, data: bytes) -> None:
        assert self._seen is not None
        # Header lines and the sizes of the HTTP chunks are pieces that do not begin with "data: {".
        *pieces, self._rest = data.split(b"\r\n")
        for piece in pieces:
            if piece.startswith(b"data: {"):
                self._seen(self._decode(piece[6:]).choices[0].delta.content or "")
        if self._tail == END_OF_STREAM:
            self._ended.set_result(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("the server closed the connection"))


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        del concurrency, ca  # the scenario bounds it; it takes part in no TLS scenario
        url = urlsplit(base_url)
        self._address = url.hostname or "", url.port or 80
        self._idle: list[Connection] = []
        self._head = (
            f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.transport.close()

    async def plain(self) -> str:
        answer = orjson.loads(await self._ask(PLAIN, None))
        content: str = answer["choices"][0]["message"]["content"]
        return content

    async def stream(self, seen: Callable[[str], None]) -> None:
        await self._ask(STREAMED, seen)

    async def _ask(self, request: dict[str, Any], seen: Callable[[str], None] | None) -> bytes:
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        body = orjson.dumps(request)
        answer = await connection.ask(b"%b%d\r\n\r\n%b" % (self._head, len(body), body), seen)
        self._idle.append(connection)
        return answer
