"""aiohttp's own session over a pool of its own, for programs that replace its requests, as aioresponses does.

``pool`` costs half as much and is used for everything else.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    DeepSeekError,
    InvalidRequestError,
)
from deepseek_async.files.upload import UploadBody
from deepseek_async.process.forks import leave
from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.connector import drop, forget, leave_to_parent, open_connector
from deepseek_async.transport.handler import StrictHandler, wants_fresh
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, TextFeed, url_of
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.route import NetworkRoute
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.transport.websocket import Conversation, Refused

_LAST_BYTES: Final = 1.0
"""Seconds that an ended answer's connection may take to send the end of its body before it is closed."""

_INLINE_BODY: Final = 1 << 20
"""aiohttp warns of larger bytes bodies, because writing them in one piece blocks the loop; they go in pieces."""

_MOST_OF_A_MESSAGE: Final = 16 * 1024 * 1024
_SWITCHING: Final = 101

_watching: Final[ContextVar[Callable[[], None]]] = ContextVar("_watching")
"""What is to be called when the request of this task has a connection."""


def is_replaced() -> bool:
    """Whether a program has put something of its own in the place of aiohttp's requests, as aioresponses does."""
    asked: Any = aiohttp.ClientSession._request  # noqa: SLF001  aiohttp has no public seam, and this is what is replaced
    return getattr(asked, "__module__", None) != "aiohttp.client"


class Session:
    """A pool of connections to one origin. Must be made inside a running event loop, and used on that loop.

    ``limit`` is the largest number of connections. The session sends the key, if it has one, to the configured
    origin only: redirects are not followed and no cookies are kept.
    """

    def __init__(
        self,
        base_url: str,
        api_key: ApiKey | None,
        *,
        limit: int,
        proxy: Proxy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base = base_url
        self.route = NetworkRoute(URL(base_url), proxy)
        self.origin = self.route.origin
        self._proxy = None if proxy is None else URL(proxy.url)
        self._urls: dict[str, URL] = {}
        self.tails: set[aiohttp.ClientResponse] = set()
        connector = open_connector(limit, tls=self.route.tls)
        handler: Any = partial(StrictHandler, loop=asyncio.get_running_loop())
        connector._factory = handler  # noqa: SLF001  aiohttp has no public way to choose it
        # Not the session's own headers: aiohttp sends those to the proxy as well, Authorization included.
        self._headers = {
            **(headers or {}),
            **({} if api_key is None else {"Authorization": api_key.authorization()}),
            "Content-Type": "application/json",
            # A compressing proxy holds events back.
            "Accept-Encoding": "identity",
            **self.route.fields,
        }
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Our own watchdog times it all: the default total of 300 s would cut long answers, and no timer of
            # aiohttp knows when the loop stood still.
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[_telling_when_sent()],
            trust_env=False,
        )

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """See ``Transport.send``."""
        if outgoing.texts is not None:
            return await self.converse(outgoing, outgoing.texts, watchdog)
        if self._http.closed:
            raise APIConnectionError(
                "the client was closed while the call was running",
                retryable=False,
                reason="closed",
            )
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine that runs has a task
        cancels_before = task.cancelling()
        watchdog.way = self.route.way
        watchdog.guard(task.cancel)
        # Not as an argument of the request: who replaces aiohttp's way of asking may copy all of them.
        watching = _watching.set(partial(watchdog.sent, task.cancel))
        wanted = wants_fresh.set(fresh)
        failure: DeepSeekError
        try:
            response = await self._http.request(
                outgoing.method,
                self._url(outgoing.path),
                data=_payload(outgoing.body),
                headers=self._with(outgoing.headers, outgoing.body),
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self.route.proxy_fields,
            )
        except asyncio.CancelledError:
            if not watchdog.expired or task.uncancel() > cancels_before:
                raise
            failure = watchdog.failure() if watchdog.expired != "connect" else self.route.translate(TimeoutError())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self.route.translate(error)
        except ValueError as error:
            failure = InvalidRequestError(f"the request cannot be written as HTTP: {plain(redact(str(error)))[:200]}")
        else:
            pooled = PooledResponse(response, watchdog, self, response.status, response.headers)
            watchdog.guard(pooled.close)
            return pooled
        finally:
            _watching.reset(watching)
            wants_fresh.reset(wanted)
        # Raised out here, so that aiohttp's exception is not even its context.
        raise failure

    def distance(self) -> float | None:
        """How far the server is; aiohttp's session does not tell."""
        return None

    async def converse(self, outgoing: HTTPRequest, texts: TextFeed, watchdog: Watchdog) -> HTTPResponse:
        """Open a WebSocket, over which ``texts`` go out as they come."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine that runs has a task
        cancels_before = task.cancelling()
        watchdog.way = self.route.way
        watchdog.guard(task.cancel)
        watching = _watching.set(partial(watchdog.sent, task.cancel))
        failure: APIError
        try:
            socket = await self._http.ws_connect(
                self._url(outgoing.path),
                headers=self._with(outgoing.headers, None),
                proxy=self._proxy,
                proxy_headers=self.route.proxy_fields,
                max_msg_size=_MOST_OF_A_MESSAGE,
            )
        except asyncio.CancelledError:
            if not watchdog.expired or task.uncancel() > cancels_before:
                raise
            failure = watchdog.failure() if watchdog.expired != "connect" else self.route.translate(TimeoutError())
        except aiohttp.WSServerHandshakeError as error:
            if error.status != _SWITCHING:
                return Refused(error.status, error.headers or {}, watchdog)
            failure = APIConnectionError("the server does not speak WebSocket properly", reason="protocol")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self.route.translate(error)
        else:
            return Conversation(socket, {}, texts, watchdog)
        finally:
            _watching.reset(watching)
        # Raised out here, so that aiohttp's exception is not even its context.
        raise failure

    def _with(self, headers: Mapping[str, str] | None, body: bytes | UploadBody | None) -> CIMultiDict[str]:
        merged = CIMultiDict(self._headers)
        merged.update(headers or {})
        if isinstance(body, UploadBody):
            merged["Content-Length"] = str(len(body))
        return merged

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = url_of(self._base, path)
            # Paths with an id in them would fill the table.
            if len(self._urls) < 64:
                self._urls[path] = url
        return url

    async def aclose(self) -> None:
        """Close every connection and wait until they are gone."""
        while self.tails:
            self.tails.pop().close()
        await self._http.close()

    def forget(self) -> None:
        """Drop the pool of an event loop that has ended; its sockets cannot be closed in order any more."""
        self.tails.clear()
        connector = self._http.connector
        self._http.detach()
        forget(connector)

    def drop(self) -> None:
        """The client is gone without having been closed."""
        connector = self._http.connector
        self._http.detach()
        drop(connector)

    def leave_to_parent(self) -> None:
        """In a forked child: give up what is the parent's."""
        leave((self, list(self.tails)))
        self.tails.clear()
        connector = self._http.connector
        self._http.detach()
        leave_to_parent(connector)


class PooledResponse(msgspec.Struct, gc=False, eq=False):
    """A response of the session; see ``HTTPResponse``."""

    _response: aiohttp.ClientResponse
    _watchdog: Watchdog
    _session: Session
    status: int
    headers: Mapping[str, str]

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``."""
        try:
            return await self._read(limit)
        except Exception as error:  # noqa: BLE001  explain raises again what is none of the transport's
            failure = self.explain(error)
        # Raised out here, so that aiohttp's exception is not even its context.
        raise failure

    async def _read(self, limit: int) -> bytes:
        content, watchdog = self._response.content, self._watchdog
        block = await self.read_available()
        watchdog.alive()
        if content.at_eof():
            return block
        blocks, size = [block], len(block)
        while block:
            block = await self.read_available()
            watchdog.alive()
            blocks.append(block)
            size += len(block)
            if size > limit:
                raise APIResponseValidationError(
                    f"the response of {self._session.origin} is larger than {limit:,} bytes",
                    retryable=False,
                )
        return b"".join(blocks)

    def read_available(self) -> Coroutine[Any, Any, bytes]:
        """See ``HTTPResponse.read_available``."""
        self._watchdog.waiting()
        return self._response.content.readany()

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        if isinstance(error, APIError):
            return error
        if self._watchdog.expired:
            return self._watchdog.failure()
        # RuntimeError: the session was closed before this read.
        if not isinstance(error, aiohttp.ClientError | OSError | RuntimeError):
            raise error
        failure = self._session.route.translate(error)
        if isinstance(failure, APIConnectionError):
            failure.connected = True
        return failure

    def release(self) -> None:
        """See ``HTTPResponse.release``.

        aiohttp gives the connection back by itself when the end of the body arrives; that is often the very
        last TCP segment, after the answer's own end.
        """
        self._watchdog.stop()
        content = self._response.content
        if content.is_eof():
            return
        if content.exception() is not None:
            self._response.close()
            return
        self._session.tails.add(self._response)
        asyncio.get_running_loop().call_later(_LAST_BYTES, self._cut_tail)

    def _cut_tail(self) -> None:
        self._session.tails.discard(self._response)
        self._response.close()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        self._watchdog.stop()
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            # close() would first flush what the server does not read, and over TLS wait for its goodbye.
            connection.transport.abort()
        self._response.close()


def _telling_when_sent() -> aiohttp.TraceConfig:
    """Tells the watchdog of a request when that has a connection."""

    async def connected(*_: object) -> None:
        _watching.get()()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing


def _payload(body: bytes | UploadBody | None) -> Any:
    if isinstance(body, UploadBody):
        return body.pieces()
    if body is None or len(body) <= _INLINE_BODY:
        return body
    return io.BytesIO(body)
