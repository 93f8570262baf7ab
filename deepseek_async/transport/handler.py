"""aiohttp's reader of one connection, with two holes closed."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler


class MalformedBodyError(aiohttp.ClientPayloadError):
    """The framing of a body is no HTTP, in a later read than the one that brought its head."""


class StrictHandler(ResponseHandler):
    """Tells the reader of a body what broke it, and is not used again once something came that nobody asked for."""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Called by aiohttp when it cannot parse what came.

        aiohttp keeps the exception for the next reader of a head. The reader of a body that has begun would be
        told nothing, and wait until a timer of ours runs out.
        """
        payload = self._payload
        super().set_exception(exc, *cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(MalformedBodyError(str(getattr(exc, "message", exc))))

    def is_connected(self) -> bool:
        """Asked by aiohttp's pool before it uses the connection for another request.

        A response that arrived while the connection was idle would be taken for the answer to that request.
        """
        connected: Any = super().is_connected()
        return bool(connected) and not self.should_close
