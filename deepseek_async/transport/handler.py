"""aiohttp's response handler with three fixes: body errors, stale connections, unsolicited bytes."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from deepseek_async.transport.reuse import UNSEEN
from deepseek_async.transport.unread_bytes import look_at, read_rest_of_tls, rest_of

READ_BUFFER: Final = 64 * 1024
"""Bytes per read. asyncio requests 256 KiB each time, for which malloc may map and unmap memory at every read: a
third of the CPU of a plain call, in processes with an unlucky heap layout."""


wants_fresh: Final[ContextVar[bool]] = ContextVar("wants_fresh", default=False)
"""Whether the current task's request must use a new connection."""


class MalformedBodyError(aiohttp.ClientPayloadError):
    """Invalid framing of a body, detected in a later read than its head."""


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """The server had closed an idle connection: no byte of the response arrived on it."""


class StrictHandler(ResponseHandler):
    """Reports framing errors to the reader of a body, distinguishes stale from broken connections, and is not reused
    after unsolicited bytes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._requests = 0
        self._silent = True  # whether nothing has arrived since the request
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio.Protocol callback. Only asyncio's transport without TLS has a read buffer to shrink."""
        super().connection_made(transport)
        plain: Any = transport
        if getattr(plain, "max_size", 0) > READ_BUFFER:
            plain.max_size = READ_BUFFER
        self._look = look_at(transport)
        read_rest_of_tls(transport)

    def set_response_params(self, **parameters: Any) -> None:
        """aiohttp callback before each request."""
        self._requests += 1
        self._silent = True
        self._sent_at = self._loop.time()
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """asyncio.Protocol callback."""
        self._silent = False
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """aiohttp callback on unparsable bytes and on loss of the connection.

        aiohttp raises the exception only in the next read of a head. The reader of a body in progress would never
        see it and wait until a timer expires.
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
        """asyncio.Protocol callback."""
        if isinstance(exc, OSError):
            self._read_rest()
        super().connection_lost(exc)

    def _read_rest(self) -> None:
        if self.transport is not None and self.transport.get_extra_info("sslcontext") is None:
            for block in rest_of(self.transport):
                self.data_received(block)

    def is_connected(self) -> bool:
        """aiohttp's check before it reuses the connection.

        A response that arrived while the connection was idle would be mistaken for the response to the next request.
        """
        connected: Any = super().is_connected()
        return bool(connected) and not self.should_close and not wants_fresh.get() and not self._look(0)
