"""One pooled connection while it carries our requests, one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from deepseek_async.errors import APIConnectionError, APIError
from deepseek_async.files.upload import UploadBody
from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.http1 import HTTPViolation, ResponseParser
from deepseek_async.transport.reuse import UNSEEN, Reuse
from deepseek_async.transport.unread import below, look_at, peek, read_rest_of_tls, rest_of

_HIGH_WATER: Final = 1 << 20
"""Bytes that may wait to be read before the server is held back."""

_ONE_WRITE: Final = 64 * 1024
"""Bytes of a request body up to which copying it behind the head is cheaper than a second write."""

_MOMENT: Final = 0.02
"""Seconds since its last use within which a connection is used again without a look, which takes 0.4 µs on its own and
2 to 4 µs among much else: a loop that turns reads what comes."""

_LAST_BYTES: Final = 1.0
"""Seconds that an ended answer's connection may take to send the end of its body before it is closed."""


class Channel(asyncio.Protocol):
    """Reads what the server sends on one connection, in the place of the handler that aiohttp's pool knows.

    It stays on the connection while that is idle in the pool, and passes on to the handler that the connection
    was lost, which is all that the pool wants to know of it.
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
        assert handler.transport is not None  # noqa: S101  the pool hands out open connections
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
        self._active_at = 0.0  # when something was sent, or an answer ended
        self._parser: ResponseParser | None = None
        self._connection: Connection | None = None
        self.blocks: list[bytes] = []
        """What has arrived of the body, to be taken."""
        self._size = 0
        self._paused = False
        self._large = False  # whether the request is
        self._silent = True  # whether nothing has come since the request
        self.used = False  # whether an earlier request went over this connection
        self._waiter: asyncio.Future[None] | None = None  # of who waits for the head, or to go on sending
        self.create_future = loop.create_future
        self.reader: asyncio.Future[bytes] | None = None
        """Gets what arrives next of the body, empty at its end; for who has found no blocks, failure or end."""
        self._full = False  # whether the transport takes no more for now
        self._drained: asyncio.Future[None] | None = None
        self.rest: UploadBody | None = None  # what is still to come of the request
        self.failure: APIError | None = None
        """What broke the connection."""
        self._last_bytes: asyncio.TimerHandle | None = None

    def may_serve(self) -> bool:
        """Whether the idle connection may carry another request: nothing has come on it, read by the event loop or not.

        Otherwise the server has closed it, or what it sent would be taken for the answer to that request.
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
        """Close the idle connection, which the pool has just handed out as ``connection``."""
        self._transport.abort()
        connection.close()

    def expect(self, connection: Connection) -> ResponseParser:
        """Be ready for a response. ``connection`` is the pool's own handle, given back when the response ends."""
        self._connection = connection
        self._silent = True
        self._parser = ResponseParser()
        return self._parser

    def write(self, head: bytes, body: bytes | UploadBody | None) -> None:
        """Send a request. What the server does not take at once waits in the transport; nothing is awaited.

        A body that goes out piece by piece is the ``rest``, which ``stream`` sends.
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
        """Send the rest of the request as the server takes it, and no more of it once the server has refused it.

        ``going_on`` is called with each piece. Raises what breaks the connection, and what reading raises.
        """
        assert self.rest is not None  # noqa: S101  there is one
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
        """Whether there is no use in sending the rest: a refusal has come, or a whole answer."""
        parser = self._parser
        return parser is None or parser.status >= 300 or parser.complete

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._full = False
        self._let_write()

    def _let_write(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def check(self) -> None:
        """Raise what broke the connection, if something did."""
        if self.failure is not None:
            raise self.failure

    def take(self) -> bytes:
        """What has arrived of the body since the last call; empty if nothing. Raises what broke the connection."""
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
        """Done when something more has arrived, or when there is no more to come."""
        waiter = self._waiter = self.create_future()
        return waiter

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        parser = self._parser
        if parser is None:
            self._reuse.unasked(self._origin, data)
            self._transport.abort()
            return
        self._silent = False
        try:
            block = parser.feed(data)
        except HTTPViolation as violation:
            broken = self._broken(f"{self._origin} does not speak proper HTTP: {violation}")
            broken.reason = "protocol"
            self.fail(broken)
            return
        reader = self.reader
        if reader is not None and block and not parser.complete and not reader.done():
            # In the middle of an answer, of which each part is waited for.
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
        """Called by the event loop; the connection is closed then, because there is nothing to wait for."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
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
            when = "before it answered" if self._silent else "in the middle of the response"
            lost = self._broken(f"the connection to {self._origin} was lost {when}: {said}")
            if self.used and self._silent and self._now() - self._active_at < UNSEEN:
                lost.reused = True
                self._reuse.found_dead()
            self.fail(lost)
        else:
            self._wake()

    def fail(self, failure: APIError) -> None:
        """Give the connection up, and let who reads from it raise ``failure``; the first one counts."""
        self.failure = self.failure or failure
        self._transport.abort()
        self._wake()

    def release(self) -> None:
        """The answer has ended. Its connection goes back to the pool as soon as its last bytes have come.

        The end of the body is often the very last TCP segment, after the answer's own end.
        """
        parser = self._parser
        if parser is None or parser.complete or self.failure is not None:
            self._leave()
        elif self._last_bytes is None:
            self._last_bytes = asyncio.get_running_loop().call_later(_LAST_BYTES, self.close)

    def close(self) -> None:
        """Give the connection up, whatever is still on it."""
        # Not close(): that would first flush what the server does not read, and over TLS wait for its goodbye.
        self._transport.abort()
        self.failure = self.failure or self._broken(f"the response of {self._origin} was closed")
        self._wake()
        self._leave()

    def leave_to_parent(self) -> None:
        """In a forked child: nothing more is read here."""
        self.blocks.clear()
        self.failure = APIConnectionError(
            "this answer is read by the process that this one was forked from; ask again here",
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
        """Let the reader go on, if there is something to go on with."""
        if reader.done():
            pass  # cancelled
        elif self.blocks:
            reader.set_result(self.take())
        elif self.failure is not None:
            reader.set_exception(self.failure)
            reader.exception()  # asked for once, it is not reported as forgotten when the reader is gone
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
        # Both sides must be done.
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
        """Whether the kernel has the whole request: an early answer leaves some of it behind, and it would go on."""
        if self.rest is not None or self._transport.get_write_buffer_size():
            return False
        if self._below is not None:
            return not self._below.get_write_buffer_size()
        # What carries TLS is not to be seen with uvloop. It may still hold the end of a request that was refused early.
        return self._plain or not self._large or status < 300

    def _broken(self, message: str) -> APIConnectionError:
        return APIConnectionError(message, connected=True)
