"""A transport as a user might write one: asyncio's streams, a connection for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from multidict import CIMultiDict

from deepseek_async.errors import APIConnectionError, APIError, APIResponseValidationError
from deepseek_async.transport.protocol import HTTPRequest, TransportOptions
from deepseek_async.transport.watchdog import Watchdog


class PlainResponse:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watchdog: Watchdog) -> None:
        self._reader = reader
        self._writer = writer
        self._watchdog = watchdog
        self._left: int | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    async def head(self) -> None:
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        self.status = int(status.split()[1])
        self.headers = CIMultiDict((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        length = self.headers.get("Content-Length")
        self._left = None if length is None else int(length)

    async def read(self, limit: int) -> bytes:
        body = b""
        try:
            while block := await self.read_available():
                body += block
                self._watchdog.alive()
                if len(body) > limit:
                    break
            else:
                return body
        except Exception as error:  # noqa: BLE001  explain raises again what is not the transport's
            failure = self.explain(error)
        else:
            failure = APIResponseValidationError(f"the body is larger than {limit} bytes", retryable=False)
        raise failure

    async def read_available(self) -> bytes:
        self._watchdog.waiting()
        self._reading = asyncio.ensure_future(self._block())
        try:
            return await self._reading
        except asyncio.CancelledError:
            if self._reading.cancelled():
                raise ConnectionResetError("closed") from None
            raise

    async def _block(self) -> bytes:
        if self._left is not None:
            if not self._left:
                return b""
            block = await self._reader.read(min(self._left, 65_536))
            if not block:
                raise ConnectionResetError("the body broke off")
            self._left -= len(block)
            return block
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        block = (await self._reader.readexactly(size + 2))[:-2]
        self._left = None if block else 0
        return block

    def explain(self, error: Exception) -> APIError:
        if isinstance(error, APIError):
            return error
        if self._watchdog.expired:
            return self._watchdog.failure()
        if not isinstance(error, OSError | EOFError):
            raise error
        return APIConnectionError(f"the connection broke: {type(error).__name__}", connected=True)

    def release(self) -> None:
        self.close()

    def close(self) -> None:
        self._watchdog.stop()
        self._writer.close()
        if self._reading is not None:
            self._reading.cancel()


class PlainTransport:
    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._open: set[PlainResponse] = set()
        self._closed = False

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> PlainResponse:
        if self._closed:
            raise APIConnectionError("the transport is closed", retryable=False, reason="closed")
        task = asyncio.current_task()
        assert task is not None
        watchdog.guard(task.cancel)
        response: PlainResponse | None = None
        try:
            parts = urlsplit(self._options.url(outgoing.path))
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            response = PlainResponse(reader, writer, watchdog)
            body = bytes(outgoing.body or b"")  # type: ignore[arg-type]
            headers = {**self._options.headers, **(outgoing.headers or {})}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            head = f"{outgoing.method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}"
            watchdog.sent(task.cancel)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
            await response.head()
        except asyncio.CancelledError:
            if response is not None:
                response.close()
            if not watchdog.expired:
                raise
            task.uncancel()
            failure: APIError = watchdog.failure()
        except (OSError, EOFError) as error:
            failure = APIConnectionError(f"no connection: {type(error).__name__}", reason="unreachable")
        else:
            watchdog.guard(response.close)
            self._open.add(response)
            return response
        raise failure

    async def aclose(self) -> None:
        self._closed = True
        for response in self._open:
            response.close()
