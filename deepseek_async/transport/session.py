"""Transport over an aiohttp ClientSession, for programs that patch its request method, as aioresponses does.

Otherwise ``pool`` is used, at half the cost.
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
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.connector import drop, forget, leave_to_parent, open_connector
from deepseek_async.transport.handler import StrictHandler, wants_fresh
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, TextFeed, url_of
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.route import NetworkRoute
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.transport.websocket import Conversation, Refused

_LAST_BYTES: Final = 1.0
"""Seconds to wait for the end of a completed answer's body before its connection is closed."""

_INLINE_BODY: Final = 1 << 20
"""Larger bodies are sent in pieces: aiohttp warns about them, because a single write would block the loop."""

_MOST_OF_A_MESSAGE: Final = 16 * 1024 * 1024
_SWITCHING: Final = 101

_watching: Final[ContextVar[Callable[[], None]]] = ContextVar("_watching")
"""Called when the current task's request has a connection."""


def is_replaced() -> bool:
    """Whether a program has patched aiohttp's request method, as aioresponses does."""
    asked: Any = aiohttp.ClientSession._request  # noqa: SLF001  aiohttp has no public hook; tools patch this method
    return getattr(asked, "__module__", None) != "aiohttp.client"


class Session:
    """A pool of connections to one origin, bound to the event loop that is running when it is created.

    ``limit`` is the maximum number of connections. The key, if any, is sent only to the configured origin: redirects
    are not followed and cookies are not kept.
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
        connector._factory = handler  # noqa: SLF001  aiohttp has no public setting
        # Not default headers of the session: aiohttp sends those to the proxy too, Authorization included.
        self._headers = {
            **(headers or {}),
            **({} if api_key is None else {"Authorization": api_key.authorization()}),
            "Content-Type": "application/json",
            # A compressing proxy would buffer events.
            "Accept-Encoding": "identity",
            **self.route.fields,
        }
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # No aiohttp timeouts: its default total of 300 s would cut long answers, and its timers do not account
            # for a blocked event loop.
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
                "client closed during the call",
                retryable=False,
                reason="closed",
            )
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a running coroutine has a task
        cancels_before = task.cancelling()
        watchdog.way = self.route.way
        watchdog.guard(task.cancel)
        # Not a request argument: a patched request method may copy all arguments.
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
            failure = InvalidRequestError(f"cannot send the request: {plain(redact(str(error)))[:200]}")
        else:
            pooled = PooledResponse(response, watchdog, self, response.status, response.headers)
            watchdog.guard(pooled.close)
            return pooled
        finally:
            _watching.reset(watching)
            wants_fresh.reset(wanted)
        # Raised outside the except block, so that aiohttp's exception does not become its context.
        raise failure

    def distance(self) -> float | None:
        """Return None: aiohttp's session does not expose the round-trip time."""
        return None

    async def converse(self, outgoing: HTTPRequest, texts: TextFeed, watchdog: Watchdog) -> HTTPResponse:
        """Open a WebSocket and send ``texts`` over it as they become available."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a running coroutine has a task
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
            failure = APIConnectionError("invalid WebSocket response from the server", reason="protocol")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self.route.translate(error)
        else:
            return Conversation(socket, {}, texts, watchdog)
        finally:
            _watching.reset(watching)
        # Raised outside the except block, so that aiohttp's exception does not become its context.
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
            # Bounds the cache: paths may contain ids.
            if len(self._urls) < 64:
                self._urls[path] = url
        return url

    async def aclose(self) -> None:
        """Close every connection and wait until the sockets are closed."""
        while self.tails:
            self.tails.pop().close()
        await self._http.close()

    def forget(self) -> None:
        """Drop the pool of a closed event loop; an orderly shutdown of its sockets is no longer possible."""
        self.tails.clear()
        connector = self._http.connector
        self._http.detach()
        forget(connector)

    def drop(self) -> None:
        """Release the pool of a client that was not closed."""
        connector = self._http.connector
        self._http.detach()
        drop(connector)

    def leave_to_parent(self) -> None:
        """In a forked child: abandon the parent's connections."""
        leave((self, list(self.tails)))
        self.tails.clear()
        connector = self._http.connector
        self._http.detach()
        leave_to_parent(connector)


class PooledResponse(msgspec.Struct, gc=False, eq=False):
    """Response of the aiohttp session; see ``HTTPResponse``."""

    _response: aiohttp.ClientResponse
    _watchdog: Watchdog
    _session: Session
    status: int
    headers: Mapping[str, str]

    # A struct's default repr would expose the server's data in tracebacks with locals.
    __repr__ = object.__repr__

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``."""
        try:
            return await self._read(limit)
        except Exception as error:  # noqa: BLE001  explain re-raises errors of other origin
            failure = self.explain(error)
        # Raised outside the except block, so that aiohttp's exception does not become its context.
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
                    f"response from {self._session.origin} exceeds {limit:,} bytes",
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

        aiohttp returns the connection to the pool when the end of the body arrives, which is often in the very last
        TCP segment, after the end of the answer.
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
            # close() would flush data that the server does not read, and over TLS wait for close_notify.
            connection.transport.abort()
        self._response.close()


def _telling_when_sent() -> aiohttp.TraceConfig:
    """Return a trace configuration that starts the watchdog of a request when it has a connection."""

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
