"""One pooled connection that carries requests sequentially."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from deepseek_async.errors import APIConnectionError, APIError
from deepseek_async.files.upload import UploadBody
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.http1 import HTTPViolation, ResponseParser
from deepseek_async.transport.reuse import UNSEEN, Reuse
from deepseek_async.transport.unread_bytes import below, look_at, peek, read_rest_of_tls, rest_of

_HIGH_WATER: Final = 1 << 20
"""Unread bytes above which reading is paused (back-pressure)."""

_ONE_WRITE: Final = 64 * 1024
"""Largest request body in bytes that is copied behind the head, which is then cheaper than a second write."""

_MOMENT: Final = 0.02
"""Seconds after its last use within which a connection is reused without polling the socket. A poll costs 0.4 µs in
isolation and 2 to 4 µs under load; a running event loop reads what arrives."""

_LAST_BYTES: Final = 1.0
"""Seconds to wait for the end of a completed answer's body before its connection is closed."""


class Channel(asyncio.Protocol):
    """Reads the server's bytes on one connection, in place of the protocol object that aiohttp's pool installed.

    It stays on the connection while that is idle in the pool, and forwards only the loss of the connection to
    aiohttp's handler, which is all that the pool needs.
    """

    __slots__ = (
        "_active_at",
        "_below",
        "_connection",
        "_drained",
        "_forget",
        "_full",
        "_generation",
        "_handler",
        "_large",
        "_last_bytes",
        "_look",
        "_now",
        "_origin",
        "_parser",
        "_paused",
        "_plain",
        "_reuse",
        "_silent",
        "_size",
        "_transport",
        "_waiter",
        "blocks",
        "create_future",
        "failure",
        "reader",
        "rest",
        "used",
    )

    def __init__(
        self,
        handler: ResponseHandler,
        origin: str,
        forget: Callable[[ResponseHandler], object],
        reuse: Reuse,
    ) -> None:
        assert handler.transport is not None  # noqa: S101  pooled connections are open
        self._handler = handler
        self._origin = origin
        self._forget = forget
        self._reuse = reuse
        self._generation = reuse.generation
        self._transport = handler.transport
        self._transport.set_protocol(self)
        self._plain = self._transport.get_extra_info("sslcontext") is None
        self._below = below(self._transport)
        self._look = look_at(self._transport)
        if not self._plain:
            read_rest_of_tls(self._transport)
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._active_at = 0.0  # time of the last send or end of answer
        self._parser: ResponseParser | None = None
        self._connection: Connection | None = None
        self.blocks: list[bytes] = []
        """Body blocks that have arrived and are not yet taken."""
        self._size = 0
        self._paused = False
        self._large = False  # whether the request body is large
        self._silent = True  # whether nothing has arrived since the request
        self.used = False  # whether the connection is reused
        self._waiter: asyncio.Future[None] | None = None  # waiter for the response head or for writability
        self.create_future = loop.create_future
        self.reader: asyncio.Future[bytes] | None = None
        """Receives the next body bytes, empty at the end; set by a reader that found no blocks, failure or end."""
        self._full = False  # whether writing is paused
        self._drained: asyncio.Future[None] | None = None
        self.rest: UploadBody | None = None  # unsent part of the request body
        self.failure: APIError | None = None
        """The error that broke the connection."""
        self._last_bytes: asyncio.TimerHandle | None = None

    def may_serve(self) -> bool:
        """Whether the idle connection may carry another request: nothing has arrived on it, neither read nor unread.

        Otherwise the server has closed it, or its bytes would be mistaken for the response to the next request.
        """
        reuse = self._reuse
        if self._generation != reuse.generation or (reuse.doubted_until and reuse.is_doubtful()):
            return False
        if self._now() - self._active_at < _MOMENT or not self._look(0):
            return True
        if self._plain and (brought := peek(self._transport)):
            reuse.unasked(self._origin, brought)
        return False

    def discard(self, connection: Connection) -> None:
        """Close the idle connection that the pool just returned as ``connection``."""
        self._transport.abort()
        connection.close()

    def expect(self, connection: Connection) -> ResponseParser:
        """Prepare for a response. ``connection`` is the pool's handle, released when the response ends."""
        self._connection = connection
        self._silent = True
        self._parser = ResponseParser()
        return self._parser

    def write(self, head: bytes, body: bytes | UploadBody | None) -> None:
        """Send a request without awaiting; unsent bytes are buffered in the transport.

        A body sent in pieces becomes ``rest``, which ``stream`` sends.
        """
        self._active_at = self._now()
        self._large = body is not None and len(body) >= _ONE_WRITE
        if body is None:
            self._transport.write(head + b"\r\n\r\n")
        elif isinstance(body, UploadBody):
            self.rest = body
            self._transport.write(b"%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body)))
        elif not self._large:
            self._transport.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        else:
            self._transport.write(b"%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body)))
            self._transport.write(body)

    async def stream(self, going_on: Callable[[], object]) -> None:
        """Send the rest of the request under flow control; stops once the server has refused it.

        ``going_on`` is called with each piece. Raises connection errors and errors of reading the body.
        """
        assert self.rest is not None  # noqa: S101  set by write
        async with aclosing(self.rest.pieces()) as pieces:
            async for piece in pieces:
                self.check()
                if self._is_answered():
                    return
                self._transport.write(piece)
                going_on()
                while self._full and not self._is_answered():
                    self._waiter = self._drained = self.create_future()
                    await self._drained
                    self.check()
        self.rest = None

    def _is_answered(self) -> bool:
        """Whether the rest need not be sent: the request is refused or fully answered."""
        parser = self._parser
        return parser is None or parser.status >= 300 or parser.complete

    def pause_writing(self) -> None:
        """asyncio.Protocol callback."""
        self._full = True

    def resume_writing(self) -> None:
        """asyncio.Protocol callback."""
        self._full = False
        self._let_write()

    def _let_write(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def check(self) -> None:
        """Raise the error that broke the connection, if any."""
        if self.failure is not None:
            raise self.failure

    def take(self) -> bytes:
        """Return the body bytes since the last call, empty if none. Raises the error that broke the connection."""
        blocks = self.blocks
        if not blocks:
            self.check()
            return b""
        block = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        blocks.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return block

    def arrival(self) -> asyncio.Future[None]:
        """Return a future that is done when more has arrived or the response has ended."""
        waiter = self._waiter = self.create_future()
        return waiter

    def data_received(self, data: bytes) -> None:
        """asyncio.Protocol callback."""
        parser = self._parser
        if parser is None:
            self._reuse.unasked(self._origin, data)
            self._transport.abort()
            return
        self._silent = False
        try:
            block = parser.feed(data)
        except HTTPViolation as violation:
            broken = self._broken(f"invalid HTTP response from {self._origin}: {violation}")
            broken.reason = "protocol"
            self.fail(broken)
            return
        reader = self.reader
        if reader is not None and block and not parser.complete and not reader.done():
            # In the middle of an answer, every part of which is expected.
            self.reader = None
            reader.set_result(block)
            return
        self._active_at = self._now()
        if block:
            self.blocks.append(block)
            self._size += len(block)
            if self._size > _HIGH_WATER and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """asyncio.Protocol callback; returns None, which closes the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio.Protocol callback."""
        self._handler.connection_lost(exc)
        self._forget(self._handler)
        if self._parser is None:
            return
        if exc is not None and self.failure is None and self._plain:
            for block in rest_of(self._transport):
                self.data_received(block)
        try:
            self._parser.feed_end()
        except HTTPViolation:
            said = plain(redact(str(exc)))[:200] if exc is not None else "the server closed the connection"
            when = "before the response" if self._silent else "during the response"
            lost = self._broken(f"connection to {self._origin} lost {when}: {said}")
            if self.used and self._silent and self._now() - self._active_at < UNSEEN:
                lost.reused = True
                self._reuse.found_dead()
            self.fail(lost)
        else:
            self._wake()

    def fail(self, failure: APIError) -> None:
        """Abort the connection with ``failure``, which its reader raises; the first failure wins."""
        self.failure = self.failure or failure
        self._transport.abort()
        self._wake()

    def release(self) -> None:
        """End the answer; the connection returns to the pool once its last bytes have arrived.

        The end of the body is often in the very last TCP segment, after the end of the answer.
        """
        parser = self._parser
        if parser is None or parser.complete or self.failure is not None:
            self._leave()
        elif self._last_bytes is None:
            self._last_bytes = asyncio.get_running_loop().call_later(_LAST_BYTES, self.close)

    def close(self) -> None:
        """Abort the connection, discarding unread data."""
        # Not close(): it would flush data that the server does not read, and over TLS wait for close_notify.
        self._transport.abort()
        self.failure = self.failure or self._broken(f"response from {self._origin} closed")
        self._wake()
        self._leave()

    def leave_to_parent(self) -> None:
        """In a forked child: stop reading."""
        self.blocks.clear()
        self.failure = APIConnectionError(
            "the parent process of this fork reads the answer; repeat the call in this process",
            connected=True,
            retryable=False,
            reason="forked",
        )

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self.reader is not None:
            self._let_read(self.reader)
        if self._last_bytes is not None and (self.failure is not None or (self._parser and self._parser.complete)):
            self._leave()

    def _let_read(self, reader: asyncio.Future[bytes]) -> None:
        """Resume the reader if there is data, a failure or the end."""
        if reader.done():
            pass  # reader cancelled
        elif self.blocks:
            reader.set_result(self.take())
        elif self.failure is not None:
            reader.set_exception(self.failure)
            reader.exception()  # marks the exception as retrieved, in case the reader is gone
        elif self._parser is None or self._parser.complete:
            reader.set_result(b"")
        else:
            return
        self.reader = None

    def _leave(self) -> None:
        connection, parser = self._connection, self._parser
        if connection is None or parser is None:
            return
        reuse = self._reuse
        # Both directions must be complete.
        reusable = (
            parser.reusable
            and parser.complete
            and self.failure is None
            and not self._paused
            and self._has_sent_all(parser.status)
            and not (reuse.doubted_until and reuse.is_doubtful())
        )
        self._generation = reuse.generation
        self._connection = self._parser = None
        self.used = True
        self.blocks.clear()
        self._size = 0
        if self._last_bytes is not None:
            self._last_bytes.cancel()
            self._last_bytes = None
        if reusable:
            connection.release()
        else:
            self._transport.abort()
            connection.close()

    def _has_sent_all(self, status: int) -> bool:
        """Whether the kernel has the whole request; after an early answer a remainder would still be sent."""
        if self.rest is not None or self._transport.get_write_buffer_size():
            return False
        if self._below is not None:
            return not self._below.get_write_buffer_size()
        # uvloop hides the transport below TLS, which may still hold the end of a request that was refused early.
        return self._plain or not self._large or status < 300

    def _broken(self, message: str) -> APIConnectionError:
        return APIConnectionError(message, connected=True)
