"""One account of a service with a hidden limit: over it a 429 at once, in DeepSeek's words, with numbers or without.

The way takes time, as it does over the internet: a request reaches the account half a round trip after its bytes have
come in, and the head of its answer, a refusal or the end of an answer is sent half a round trip after it was decided.
A slot is so empty for one round trip between two answers, and a window that is exactly full shows as 97.6 % busy with
answers of four seconds. A request whose connection closes is over at once.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any, Self

from limited_server import ANSWER, HEAD, refused_with_numbers, response
from processes.ledger import Ledger

ROUND_TRIP = 0.1
SHORTEST, LONGEST = 2.0, 6.0
FIRST_WORD = 0.3
"""Seconds after its admission at which a streamed answer begins."""
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WITHOUT_NUMBERS = response(
    429,
    json.dumps(
        {
            "error": {
                "message": "Too many requests. Please pace your requests reasonably.",
                "type": "rate_limit_error",
            },
        },
    ).encode(),
)
_PROMPT = re.compile(rb'"content":\s*"([^"]*)"')
_STREAMED = re.compile(rb'"stream":\s*true')


def _event(delta: dict[str, Any], **more: Any) -> bytes:
    body = {
        "id": "5f0c",
        "object": "chat.completion.chunk",
        "created": 1795450000,
        "model": "deepseek-flash",
        "choices": [{"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}],
        **more,
    }
    wire = b"data: " + json.dumps(body).encode() + b"\n\n"
    return f"{len(wire):x}\r\n".encode() + wire + b"\r\n"


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
FIRST = _event({"role": "assistant", "content": "Hel"})
REST = _event({"content": "lo"}, finish_reason="stop", usage=_USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Account:
    """The service; what it does is written into ``ledger`` by the loop's clock, which is the machine's."""

    def __init__(self, limit: int, *, numbers: bool = True, seed: int = 0) -> None:
        self._numbers = numbers
        self._chance = random.Random(seed)
        self._limit = limit
        self._in_flight = 0
        self.ledger = Ledger()
        self.connections: set[asyncio.Transport] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=4096)
        self.limit = self._limit
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.abort()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def in_flight(self) -> int:
        """Requests that run now."""
        return self._in_flight

    @property
    def limit(self) -> int:
        """Requests that may run at a time; may be changed at any moment, and ends nothing that runs."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._note("limit", "")

    def came(self, exchange: Exchange) -> None:
        """The bytes of a request have come in."""
        self._loop.call_later(ROUND_TRIP / 2, self._arrive, exchange)

    def _arrive(self, exchange: Exchange) -> None:
        if exchange.over:
            return
        self.ledger.asked(self._loop.time(), exchange.prompt)
        if self._in_flight >= self._limit:
            exchange.over = True
            self._note("refused", exchange.prompt)
            told = refused_with_numbers(self._in_flight + 1, self._limit) if self._numbers else WITHOUT_NUMBERS
            self._send(exchange, told)
            return
        self._in_flight += 1
        exchange.running = True
        self._note("admitted", exchange.prompt)
        self._send(exchange, STREAM_HEAD if exchange.streamed else HEAD)
        if exchange.streamed:
            self._send(exchange, FIRST, FIRST_WORD)
        due = self._loop.time() + self._chance.uniform(SHORTEST, LONGEST)
        self._loop.call_at(due, self._finish, exchange, due)

    def _finish(self, exchange: Exchange, due: float) -> None:
        if exchange.running:
            self.ledger.late.append(self._loop.time() - due)
            self._leave(exchange, "served")
            self.ledger.answered(self._loop.time(), exchange.prompt)
            self._send(exchange, REST if exchange.streamed else ANSWER)

    def gone(self, exchange: Exchange) -> None:
        """The connection of a request has closed."""
        if exchange.running:
            self._leave(exchange, "lost")
        exchange.over = True

    def _leave(self, exchange: Exchange, kind: str) -> None:
        exchange.running, exchange.over = False, True
        self._in_flight -= 1
        self._note(kind, exchange.prompt)

    def _send(self, exchange: Exchange, wire: bytes, after: float = 0.0) -> None:
        self._loop.call_later(ROUND_TRIP / 2 + after, exchange.connection.write, wire)

    def _note(self, kind: str, prompt: str) -> None:
        self.ledger.note(self._loop.time(), kind, prompt, self._in_flight, self._limit)


class Exchange:
    """One attempt, from its bytes to its end."""

    __slots__ = ("connection", "over", "prompt", "running", "streamed")

    def __init__(self, connection: _Connection, body: bytes) -> None:
        self.connection = connection
        found = _PROMPT.search(body)
        self.prompt = found[1].decode() if found else ""
        self.streamed = _STREAMED.search(body) is not None
        self.running = self.over = False


class _Connection(asyncio.Protocol):
    """Requests one after another; nobody pipelines."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._received = b""
        self._exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._account.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._account.connections.discard(self._transport)
        if self._exchange is not None:
            self._account.gone(self._exchange)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if blank and len(body) >= length:
            self._received = body[length:]
            self._exchange = Exchange(self, body[:length])
            self._account.came(self._exchange)

    def write(self, wire: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(wire)
