"""A server of raw bytes on loopback: it plays one script for each request that arrives, and records what came.

A script is a sequence of steps. Bytes are written as they are; the other steps are the words below. When a
script ends, the connection is kept and the next request on it is read, as an HTTP/1.1 server would.
"""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

CANARY = "sk-canary0123456789abcdefTAIL"
"""The API key of every test; no output may ever show it."""


class Step(Enum):
    """What a script does that is not writing bytes."""

    RESET = auto()
    """Break the connection with RST."""
    CLOSE = auto()
    """Close the connection in order."""
    HALF_CLOSE = auto()
    """Say that nothing more comes, and keep the connection."""
    SILENCE = auto()
    """Do nothing until the client gives the connection up."""


RESET, CLOSE, HALF_CLOSE, SILENCE = Step.RESET, Step.CLOSE, Step.HALF_CLOSE, Step.SILENCE


@dataclass(frozen=True)
class Drip:
    """Write ``piece`` every ``pause`` seconds, ``times`` or until the client gives the connection up."""

    piece: bytes
    pause: float = 0.005
    times: int | None = None


@dataclass(frozen=True)
class Sliced:
    """Write ``piece`` byte by byte, each in a send of its own."""

    piece: bytes


Script = Sequence[bytes | Step | Drip | Sliced | asyncio.Event]


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    head: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        found = [value for known, value in self.headers if known.lower() == name.lower()]
        assert len(found) <= 1, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Plays ``scripts`` in turn, one for each request; the last one is repeated for every further request.

    ``tls`` makes it speak TLS. Without ``reads`` it accepts connections and reads nothing from them, with a
    receive buffer of a few kilobytes; it cannot see that a client has gone.
    """

    def __init__(
        self,
        scripts: Iterable[Script],
        *,
        tls: ssl.SSLContext | None = None,
        reads: bool = True,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.scripts = list(scripts)
        self._address = address
        self._tls = tls
        self.reads = reads
        self.requests: list[Received] = []
        self.connections = 0
        """Connections made so far."""
        self.arrived = asyncio.Event()
        """Set when a request has arrived."""
        self.idle = asyncio.Event()
        """Set while no connection is open."""
        self.idle.set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listening = socket.create_server(self._address, family=family)
        # asyncio does so for the sockets that it makes; otherwise the kernel holds small writes back, for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.reads:
            # Connections inherit it; the system's own would take in megabytes.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._server = await asyncio.start_server(self._connected, sock=listening, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is not None:
            self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.idle.clear()
        self.connections += 1
        number = self.connections
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if not self.reads:
                    writer.transport.pause_reading()
                    await asyncio.Event().wait()
                while await self._serve(reader, writer, number):
                    pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)
            if not self.tasks:
                self.idle.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        request = await _request(reader, number)
        self.requests.append(request)
        self.arrived.set()
        script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
        return await play(script, reader, writer)


Serve = Callable[..., Awaitable[ScriptedServer]]
"""Starts a server with a script for each request; the fixture is in ``conftest.py``."""


async def _request(reader: asyncio.StreamReader, connection: int) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    body = await reader.readexactly(length)
    return Received(method, path, headers, body, connection, head)


async def play(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Play ``script``; False when the connection is over."""
    for step in script:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case Sliced(piece):
                await _slice(piece, writer)
            case asyncio.Event():
                await step.wait()
            case Drip():
                if not await _drip(step, reader, writer):
                    return False
            case Step.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            case Step.CLOSE:
                writer.close()
                await writer.wait_closed()
                return False
            case Step.HALF_CLOSE:
                writer.write_eof()
            case Step.SILENCE:
                await reader.read()
                return False
    return True


async def _slice(piece: bytes, writer: asyncio.StreamWriter) -> None:
    for position in range(len(piece)):
        writer.write(piece[position : position + 1])
        await writer.drain()
        await asyncio.sleep(0)


async def _drip(drip: Drip, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """False when the client has given the connection up."""
    written = 0
    gone = asyncio.ensure_future(reader.read())
    try:
        while not gone.done() and written != drip.times:
            writer.write(drip.piece)
            await writer.drain()
            await asyncio.wait([gone], timeout=drip.pause)
            written += 1
        return not gone.done()
    finally:
        gone.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await gone


def head(status: int = 200, reason: str = "OK", **headers: str) -> bytes:
    """The head of a response; ``content_type="a/b"`` becomes ``content-type: a/b``."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def response(body: bytes | dict[str, Any], status: int = 200, **headers: str) -> bytes:
    """A whole response with its Content-Length."""
    wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, "-", **{"content_type": "application/json", "content_length": str(len(wire)), **headers}) + wire


KEY_REFUSED = response({"error": {"message": "Authentication Fails, Your api key: ****TAIL is invalid"}}, 401)
"""DeepSeek's own word on a key; a 401 in any other words is that of something in between."""


def answer(content: str | None = "Hello", **fields: Any) -> dict[str, Any]:
    """A plain chat completion as DeepSeek sends it."""
    finish_reason = fields.pop("finish_reason", "stop")
    return {
        "id": "5f0c",
        "object": "chat.completion",
        "created": 1795450000,
        "model": "deepseek-flash",
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": content},
            },
        ],
        "usage": copy.deepcopy(USAGE),
        "system_fingerprint": "fp_1",
        **fields,
    }


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_cache_hit_tokens": 4,
    "prompt_cache_miss_tokens": 6,
    "prompt_tokens_details": {"cached_tokens": 4},
}

ANSWER = response(answer())


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    choices = [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish_reason}]
    return {
        "id": "5f0c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "deepseek-flash",
        "system_fingerprint": "fp_1",
        "choices": choices,
        **fields,
    }


def event(data: dict[str, Any] | str) -> bytes:
    """One server-sent event in DeepSeek's form."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


OPENING = event(chunk({"role": "assistant", "content": ""}))
DONE = event("[DONE]")
STREAM_HEAD = head(content_type="text/event-stream; charset=utf-8", transfer_encoding="chunked", x_ds_trace_id="trace1")
LAST_CHUNK = b"0\r\n\r\n"


def said(text: str) -> bytes:
    return event(chunk({"content": text}))


def ending(finish_reason: str = "stop") -> bytes:
    return event(chunk({"content": ""}, finish_reason, usage=USAGE))


def http_chunk(data: bytes) -> bytes:
    """``data`` as one chunk of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def streamed(*texts: str) -> Script:
    """The script of a whole streamed answer that says ``texts``."""
    events = OPENING + b"".join(map(said, texts)) + ending() + DONE
    return [STREAM_HEAD + http_chunk(events) + LAST_CHUNK]


def begun(*events: bytes) -> bytes:
    """The head of a streamed answer and its first events, in one chunk."""
    return STREAM_HEAD + http_chunk(b"".join(events))
