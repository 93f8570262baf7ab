"""Callers of a gateway that cost next to nothing: one connection each, bytes in, bytes counted."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Self
from urllib.parse import urlsplit

from prompt import MESSAGES

KEY = "sk-benchmark-caller"
PATH = "/v1/chat/completions"


def request(model: str, *, stream: bool, mark: str = "") -> bytes:
    """A request as SDKs send it, about 1 kB."""
    said = [*MESSAGES, {"role": "user", "content": mark}] if mark else MESSAGES
    asked = {"model": model, "messages": said, "temperature": 0.7, "max_tokens": 2000}
    body = json.dumps({**asked, "stream": True} if stream else asked, separators=(",", ":")).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nUser-Agent: AsyncOpenAI/Python 2.9.0\r\nX-Stainless-Lang: python\r\n"
        f"X-Stainless-Async: async:asyncio\r\nAccept-Encoding: identity\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection of a caller."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiter: asyncio.Future[bytes] | None = None
        self.streamed = False
        self._answered = False
        self.events = 0
        self.began = asyncio.Event()
        self.lost = False

    @classmethod
    async def to(cls, url: str) -> Self:
        """Connect."""
        loop = asyncio.get_running_loop()
        at = urlsplit(url)
        _, made = await loop.create_connection(cls, at.hostname, at.port)
        return made

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    async def whole(self, asked: bytes) -> float:
        """Send a request and wait for its whole answer; the seconds it took."""
        self._waiter = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(asked)
        head = await self._waiter
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"a request failed: {head[:300]!r}")
        return time.perf_counter() - began

    def stream(self, asked: bytes) -> None:
        """Send a request for a stream, whose events are counted."""
        self.streamed = True
        self._transport.write(asked)

    def leave(self) -> None:
        """Close at once, as a caller that is killed."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.streamed:
            if not self._answered and b" 200 " not in data[:20]:
                print(f"a stream failed: {data[:300]!r}", file=sys.stderr)
                self._transport.abort()
            self._answered = True
            self.events += data.count(b"data: {")
            if self.events:
                self.began.set()
            return
        data = self._buffer = self._buffer + data
        end = data.find(b"\r\n\r\n") + 4
        at = data.lower().find(b"content-length: ", 0, end) if end > 3 else -1
        if at >= 0 and len(data) >= end + int(data[at + 16 : data.find(b"\r", at)]):
            self._buffer = b""
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(f"the gateway hung up: {error}"))
