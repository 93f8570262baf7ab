"""Responses that are written as they are: answers of DeepSeek, whole and streamed.

aiohttp reads requests and keeps connections. Preparing, framing and counting a response takes a dozen of its calls, as
long as half of a request's way through the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from aiohttp import web

READER_PATIENCE: Final = 120.0
"""Seconds for which a caller may read nothing of an answer; its place is given to others then."""

_SHORT: Final = 32 * 1024
"""Half of the 64 KiB at which transports pause writing by default."""

_WITHOUT_BODY: Final = frozenset({204, 205, 304})


class _DirectReply(web.StreamResponse):
    """What aiohttp needs to know of a response that it does not write."""

    _asking: web.BaseRequest | None = None

    @property
    def prepared(self) -> bool:
        """Whether a request is being answered by it."""
        return self._asking is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self._asking is not None and self._asking.keep_alive

    def _head(self, request: web.BaseRequest, framing: str) -> bytes:
        """Return status line and header fields. Raises ValueError for a field that would begin another one."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}", f"Date: {_date(int(time.time()))}", framing]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if not request.keep_alive:
            lines.append("Connection: close")
        elif request.version < (1, 1):
            lines.append("Connection: keep-alive")
        head = "\r\n".join(lines)
        if head.count("\r") != len(lines) - 1 or head.count("\n") != len(lines) - 1:
            raise ValueError("a header field of a response contains a line end")
        return f"{head}\r\n\r\n".encode()


class WholeReply(_DirectReply):
    """An answer whose body is known, sent in one write."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status=status, headers=headers)
        self._whole: bytes | None = body

    async def prepare(self, request: web.BaseRequest) -> None:
        """Answer ``request``; ``write_eof`` does it."""
        self._asking = request

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it. Raises ConnectionError."""
        del data
        body, self._whole, request = self._whole, None, self._asking
        if body is None or request is None:
            return
        if self.status in _WITHOUT_BODY:
            await send(request, self._head(request, "Content-Length: 0").replace(b"Content-Length: 0\r\n", b""))
            return
        head = self._head(request, f"Content-Length: {len(body)}")
        await send(request, head if request.method == "HEAD" else head + body)


class StreamedReply(_DirectReply):
    """An answer that is sent in pieces, of which each is one write."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self._framed = True
        self._ended = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the head, once. Raises ConnectionError."""
        if self._asking is not None:
            return
        self._asking = request
        self._framed = request.version >= (1, 1)  # an older client is told the end by that of the connection
        await send(request, self._head(request, "Transfer-Encoding: chunked" if self._framed else "Connection: close"))

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return self._framed and super().keep_alive

    async def send(self, piece: bytes) -> None:
        """Send a piece, at the speed of the caller. Raises ConnectionError."""
        assert self._asking is not None  # noqa: S101  prepared
        await send(self._asking, b"%x\r\n%b\r\n" % (len(piece), piece) if self._framed else piece)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the end, once. Raises ConnectionError."""
        del data
        if self._asking is None or self._ended:
            return
        self._ended = True
        if self._framed:
            await send(self._asking, b"0\r\n\r\n")


class UnsentReply(_DirectReply):
    """Stands for no response: the caller has left, or another response has begun and cannot be completed."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Have aiohttp close the connection, without a line in its log."""
        del request
        raise ConnectionResetError("nothing more can be sent on this connection")


def has_begun(request: web.BaseRequest) -> bool:
    """Whether bytes of a response to ``request`` were sent, so that no other can follow."""
    return request.writer.output_size > 0


async def send(request: web.BaseRequest, data: bytes) -> None:
    """Write to a caller. Raises ConnectionError for one that has left, or reads nothing for too long."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the caller has left")
    # Otherwise it is not waited for: nothing is unsent, and this is less than what a transport takes before it pauses
    # writing. A timer for each piece would cost more than its write.
    waits = len(data) >= _SHORT or transport.get_write_buffer_size() > 0
    transport.write(data)
    writer = request.writer
    writer.output_size += len(data)
    if waits:
        try:
            async with asyncio.timeout(READER_PATIENCE):
                await writer.drain()
        except TimeoutError:
            raise ConnectionAbortedError(f"the caller has read nothing for {READER_PATIENCE:g} s") from None


@lru_cache(1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)
