"""A service with a hidden limit of requests at a time, as DeepSeek's: over it a 429 at once, with the numbers in words.

In the process of whoever uses it, because its counters are what is measured. Each request runs for a time drawn from
``duration``; the 200 head goes out at once, as DeepSeek's does, and the answer when the time is over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


def _answer() -> bytes:
    body = json.dumps(
        {
            "id": "5f0c",
            "object": "chat.completion",
            "created": 1795450000,
            "model": "deepseek-flash",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}},
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    ).encode()
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


ANSWER = _answer()


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole response; ``retry_after="2"`` becomes the header ``retry-after: 2``."""
    fields = {"content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} -\r\n{lines}\r\n".encode() + body


class LimitedServer:
    """Change ``limit`` and ``failing`` while it runs. Counts what it did since ``begin_measuring``."""

    def __init__(
        self,
        limit: int,
        duration: Callable[[], float],
        *,
        refusal: Callable[[int, int], bytes] | None = None,
    ) -> None:
        self.limit = limit
        self.failing: Callable[[], bytes | None] = lambda: None
        """Asked for each request before the limit is; what it returns is the whole response."""
        self._duration = duration
        self._refusal = refusal or refused_with_numbers
        self.in_flight = 0
        self.most = 0
        self.attempts = self.served = self.refused = self.failed = 0
        self.times: list[float] = []
        """When each attempt arrived."""
        self._busy = 0.0
        self._since = self._changed = 0.0
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None
        self._awaited: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=4096)
        self.begin_measuring()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()

    @property
    def url(self) -> str:
        """The base URL."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def begin_measuring(self) -> None:
        """Forget what was counted."""
        self.attempts = self.served = self.refused = self.failed = 0
        self.times.clear()
        self._busy = 0.0
        self._since = self._changed = self._loop.time()

    def kept_busy(self) -> float:
        """Slots in use, as a share of the limit's slots, since ``begin_measuring``; for a limit that did not move."""
        self._account()
        return self._busy / ((self._changed - self._since) * self.limit)

    async def when(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds; asked again whenever a request has come in or ended."""
        if not condition():
            reached = self._loop.create_future()
            self._awaited.append((condition, reached))
            await reached

    def _account(self) -> None:
        now = self._loop.time()
        self._busy += (now - self._changed) * self.in_flight
        self._changed = now

    def _moved(self) -> None:
        for awaited in self._awaited[:]:
            condition, reached = awaited
            if reached.done() or condition():
                self._awaited.remove(awaited)
                if not reached.done():
                    reached.set_result(None)

    def arrived(self, connection: _Connection) -> None:
        """A request has come in."""
        self.attempts += 1
        self.times.append(self._loop.time())
        failure = self.failing()
        if failure is not None:
            self.failed += 1
            connection.write(failure)
        elif self.in_flight >= self.limit:
            self.refused += 1
            connection.write(self._refusal(self.in_flight + 1, self.limit))
        else:
            self._account()
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            connection.running = True
            connection.write(HEAD)
            self._loop.call_later(self._duration(), self._finish, connection)
        self._moved()

    def _finish(self, connection: _Connection) -> None:
        if connection.running:
            self.left(connection)
            self.served += 1
            connection.write(ANSWER)
            self._moved()

    def left(self, connection: _Connection) -> None:
        """A request has ended, or its client is gone."""
        if connection.running:
            self._account()
            connection.running = False
            self.in_flight -= 1
            self._moved()


def refused_with_numbers(current: int, limit: int) -> bytes:
    """DeepSeek's words of September 2026."""
    message = (
        f"Too many requests. Your current concurrency is {current}, which exceeds your concurrency limit of {limit} "
        "based on your remaining balance. Please top up your balance to restore your concurrency."
    )
    return response(429, json.dumps({"error": {"message": message, "type": "rate_limit_error"}}).encode())


class _Connection(asyncio.Protocol):
    def __init__(self, server: LimitedServer) -> None:
        self._server = server
        self._received = b""
        self.running = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self._transport)
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if blank and len(body) >= length:
            self._received = body[length:]
            self._server.arrived(self)

    def write(self, wire: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(wire)
