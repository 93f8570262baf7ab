"""aiohttp's reader of one connection, with three holes closed."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from deepseek_async.transport.reuse import UNSEEN
from deepseek_async.transport.unread import look_at, read_rest_of_tls, rest_of

READ_BUFFER: Final = 64 * 1024
"""Bytes of one read. asyncio asks for 256 KiB each time, for which malloc may map memory and give it back at each read:
a third of a plain call's CPU, in processes that chance puts there."""


wants_fresh: Final[ContextVar[bool]] = ContextVar("wants_fresh", default=False)
"""Whether the request of this task is to have a connection that nothing went over yet."""


class MalformedBodyError(aiohttp.ClientPayloadError):
    """The framing of a body is no HTTP, in a later read than the one that brought its head."""


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """The server had closed a kept connection: not a byte came of the answer to the request sent on it."""


class StrictHandler(ResponseHandler):
    """Tells the reader of a body what broke it, tells a stale connection from a broken one, and is not used again
    once something came that nobody asked for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._requests = 0
        self._silent = True  # whether nothing has come since the request
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop. Only asyncio's own transport without TLS has a read buffer to be made smaller."""
        super().connection_made(transport)
        plain: Any = transport
        if getattr(plain, "max_size", 0) > READ_BUFFER:
            plain.max_size = READ_BUFFER
        self._look = look_at(transport)
        read_rest_of_tls(transport)

    def set_response_params(self, **parameters: Any) -> None:
        """Called by aiohttp before each request."""
        self._requests += 1
        self._silent = True
        self._sent_at = self._loop.time()
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._silent = False
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Called by aiohttp when it cannot parse what came, and when the connection is lost.

        aiohttp keeps the exception for the next reader of a head. The reader of a body that has begun would be
        told nothing, and wait until a timer of ours runs out.
        """
        payload = self._payload
        if isinstance(exc, OSError):
            self._read_rest()
        stale = self._requests > 1 and self._silent and self._loop.time() - self._sent_at < UNSEEN
        if stale and isinstance(exc, aiohttp.ClientConnectionError):
            exc = StaleConnectionError()
        super().set_exception(exc, *cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(MalformedBodyError(str(getattr(exc, "message", exc))))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        if isinstance(exc, OSError):
            self._read_rest()
        super().connection_lost(exc)

    def _read_rest(self) -> None:
        if self.transport is not None and self.transport.get_extra_info("sslcontext") is None:
            for block in rest_of(self.transport):
                self.data_received(block)

    def is_connected(self) -> bool:
        """Asked by aiohttp's pool before it uses the connection for another request.

        A response that arrived while the connection was idle would be taken for the answer to that request.
        """
        connected: Any = super().is_connected()
        return bool(connected) and not self.should_close and not wants_fresh.get() and not self._look(0)
