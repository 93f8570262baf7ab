"""Responses that are recorded while they are read, and responses from a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from multidict import CIMultiDict

from deepseek_async.errors import APIConnectionError, APIError, APIResponseValidationError
from deepseek_async.testing.cassette import Ending, Exchange
from deepseek_async.testing.recorded_request import RecordedRequest
from deepseek_async.transport.protocol import HTTPResponse
from deepseek_async.transport.watchdog import Watchdog

_NOT_KEPT: Final = frozenset(
    {"connection", "content-length", "keep-alive", "set-cookie", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that are about the connection and not the answer, and cookies, which are credentials."""


class RecordingResponse:
    """A response of another transport; saved once it was released or closed. See ``HTTPResponse``."""

    def __init__(
        self, response: HTTPResponse, server: str, request: RecordedRequest, save: Callable[[Exchange], None]
    ) -> None:
        self._response = response
        self._server = server
        self._request = request
        self._save: Callable[[Exchange], None] | None = save
        self._chunks: list[bytes] = []
        self._ending: Ending = "left"

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields."""
        return self._response.headers

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``."""
        try:
            body = await self._response.read(limit)
        except APIConnectionError:
            self._ending = "broken"
            raise
        self._chunks.append(body)
        self._ending = "whole"
        return body

    def read_available(self) -> Awaitable[bytes]:
        """See ``HTTPResponse.read_available``."""
        return self._noted(self._response.read_available())

    async def _noted(self, reading: Awaitable[bytes]) -> bytes:
        try:
            block = await reading
        except Exception:
            self._ending = "broken"
            raise
        if block:
            self._chunks.append(block)
        else:
            self._ending = "whole"
        return block

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        return self._response.explain(error)

    def release(self) -> None:
        """See ``HTTPResponse.release``."""
        self._response.release()
        self._ending = "whole"
        self._done()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        self._response.close()
        self._done()

    def _done(self) -> None:
        save, self._save = self._save, None
        if save is not None:
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in _NOT_KEPT}
            save(Exchange(self._server, self._request, self.status, headers, self._chunks, self._ending))


class ReplayedResponse:
    """A response from a recording, in the pieces in which it arrived. See ``HTTPResponse``."""

    def __init__(self, exchange: Exchange, watchdog: Watchdog) -> None:
        self.status: Final = exchange.status
        self.headers: Final[Mapping[str, str]] = CIMultiDict(exchange.headers)
        self._line = exchange.line
        self._chunks = exchange.chunks
        self._ending = exchange.ending
        self._position = 0
        self._watchdog = watchdog
        self._closed = False

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``."""
        blocks = []
        while block := await self.read_available():
            blocks.append(block)
            if sum(map(len, blocks)) > limit:
                raise APIResponseValidationError(f"response exceeds {limit:,} bytes", retryable=False)
        return b"".join(blocks)

    async def read_available(self) -> bytes:
        """See ``HTTPResponse.read_available``."""
        await asyncio.sleep(0)
        if self._closed:
            raise APIConnectionError("response closed during read", connected=True)
        self._watchdog.alive()
        if self._position < len(self._chunks):
            self._position += 1
            return self._chunks[self._position - 1]
        if self._ending == "broken":
            raise APIConnectionError("the connection broke, as recorded", connected=True)
        if self._ending == "left":
            raise APIConnectionError(
                f"the recorded answer (line {self._line}) ends where its reader left it; record it again to read on",
                connected=True,
                retryable=False,
            )
        return b""

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        if isinstance(error, APIError):
            return error
        raise error

    def release(self) -> None:
        """See ``HTTPResponse.release``."""
        self.close()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        self._closed = True
        self._watchdog.stop()
