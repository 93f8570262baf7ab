"""Connection pool of one origin, per client and event loop.

aiohttp's TCPConnector provides pooling, name resolution and TLS. Its session, request and response objects are
bypassed: they take 46 of the 80 µs of CPU that a plain request costs with them (uvloop).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Final

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    DeepSeekError,
    InvalidRequestError,
)
from deepseek_async.transport.channel import Channel
from deepseek_async.transport.connector import drop, forget, leave_to_parent, open_connector
from deepseek_async.transport.distance import Distance
from deepseek_async.transport.header_fields import USER_AGENT, checked, merged
from deepseek_async.transport.http1 import ResponseParser
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, url_of
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.proxy_refusal import WANTS_PASSWORD
from deepseek_async.transport.reuse import Reuse
from deepseek_async.transport.route import NetworkRoute
from deepseek_async.transport.session import Session
from deepseek_async.transport.watchdog import Watchdog

_TARGETS: Final = 64
"""Cached request heads; bounded because paths may contain ids."""


class Pool:
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
        self._base = URL(base_url)
        self._route = NetworkRoute(self._base, proxy)
        self.origin = self._route.origin
        self._fields = merged(
            {"Accept": "*/*", "User-Agent": USER_AGENT},
            headers,
            {
                **({} if api_key is None else {"Authorization": api_key.authorization()}),
                "Content-Type": "application/json",
                # A compressing proxy would buffer events.
                "Accept-Encoding": "identity",
                **self._route.fields,
            },
        )
        self._heads: dict[tuple[str, str], bytes] = {}
        self._channels: dict[ResponseHandler, Channel] = {}
        self._reuse = Reuse()
        self._is_direct = proxy is None
        self.distance: Final = Distance()
        """Round-trip time to the server; not measured behind a proxy, which may be nearer than the server."""
        # No aiohttp timeouts: the watchdog handles them all, and accounts for a blocked event loop.
        self._timeout = aiohttp.ClientTimeout(total=None)
        self._connector = open_connector(limit, tls=self._route.tls)
        self._destination = self._route.destination()
        self._key = api_key
        self._extra = headers
        self._session: Session | None = None

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """See ``Transport.send``."""
        if outgoing.texts is not None:
            return await self._aiohttp_session().send(outgoing, watchdog)
        if self._connector.closed:
            raise APIConnectionError(
                "client closed during the call",
                retryable=False,
                reason="closed",
            )
        head = self._head(outgoing)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a running coroutine has a task
        cancels_before = task.cancelling()
        watchdog.way = self._route.way
        watchdog.guard(task.cancel)
        reply: Reply | None = None
        failure: DeepSeekError
        try:
            connection = await self._connector.connect(self._destination, [], self._timeout)
            channel = self._channel(connection)
            while channel.used and (fresh or not channel.may_serve()):
                channel.discard(connection)
                connection = await self._connector.connect(self._destination, [], self._timeout)
                channel = self._channel(connection)
            reply = Reply(channel, channel.expect(connection), watchdog)
            watchdog.sent(reply.expire)
            channel.write(head, outgoing.body)
            await reply.arrived()
        except asyncio.CancelledError:
            if reply is not None:
                reply.close()
            if not watchdog.expired or task.uncancel() > cancels_before:
                raise
            failure = watchdog.failure() if watchdog.expired != "connect" else self._route.translate(TimeoutError())
        except DeepSeekError as error:  # includes a file that changed while it was read
            if reply is not None:
                reply.close()
            failure = error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            failure = self._route.translate(error)
        else:
            if reply.status != WANTS_PASSWORD or not self._route.forwarded:
                return reply
            failure = self._route.refusal(reply.headers)
            reply.close()
        # Raised outside the except block, so that aiohttp's exception does not become its context.
        raise failure

    def _channel(self, connection: Connection) -> Channel:
        handler = connection.protocol
        assert handler is not None  # noqa: S101  pooled connections are open
        channel = self._channels.get(handler)
        if channel is None:
            channel = self._channels[handler] = Channel(handler, self._route.named, self._channels.pop, self._reuse)
            if self._is_direct:
                self.distance.measure(handler.transport)
        return channel

    def _head(self, outgoing: HTTPRequest) -> bytes:
        """Return the request head up to the body length."""
        kept = self._heads.get((outgoing.method, outgoing.path))
        if kept is not None and outgoing.headers is None:
            return kept
        url = url_of(str(self._base), outgoing.path)
        target = self._route.target(url)
        if not target.isascii() or not target.isprintable() or " " in target:
            raise InvalidRequestError(f"cannot send path {outgoing.path!r}: it must be printable ASCII without spaces")
        host = url.host_port_subcomponent
        fields = (
            self._fields if outgoing.headers is None else merged(self._fields, checked("headers", outgoing.headers))
        )
        lines = [f"{outgoing.method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = _MaskedHead("\r\n".join(lines).encode())
        if outgoing.headers is None and len(self._heads) < _TARGETS:
            self._heads[outgoing.method, outgoing.path] = head
        return head

    def _aiohttp_session(self) -> Session:
        if self._session is None:
            self._session = Session(
                str(self._base),
                self._key,
                limit=self._connector.limit,
                proxy=self._route.proxy,
                headers=self._extra,
            )
        return self._session

    async def aclose(self) -> None:
        """Close every connection and wait until the sockets are closed."""
        if self._session is not None:
            await self._session.aclose()
        await self._connector.close()

    def forget(self) -> None:
        """Drop the pool of a closed event loop."""
        if self._session is not None:
            self._session.forget()
        forget(self._connector)

    def drop(self) -> None:
        """Release the pool of a client that was not closed."""
        if self._session is not None:
            self._session.drop()
        drop(self._connector)

    def leave_to_parent(self) -> None:
        """In a forked child: abandon the parent's connections; readers of an answer get an error."""
        if self._session is not None:
            self._session.leave_to_parent()
        for channel in self._channels.values():
            channel.leave_to_parent()
        leave_to_parent(self._connector)


class Reply(msgspec.Struct, gc=False, eq=False):
    """Response to one request; see ``HTTPResponse``."""

    _channel: Channel | None
    _parser: ResponseParser
    _watchdog: Watchdog

    # A struct's default repr would expose the server's data in tracebacks with locals.
    __repr__ = object.__repr__

    @property
    def status(self) -> int:
        """HTTP status; 0 until the head has arrived."""
        return self._parser.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields; names are case-insensitive."""
        return self._parser.headers

    async def arrived(self) -> None:
        """Send the rest of the request and wait for the response head."""
        channel, parser = self._open_channel(), self._parser
        if channel.rest is not None:
            await channel.stream(partial(self._watchdog.sent, self.expire))
        while not parser.status:
            if self._channel is None:
                raise _closed()
            channel.check()
            await channel.arrival()

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``."""
        blocks: list[bytes] = []
        size = 0
        while size <= limit:
            if self._parser.complete:
                # Fast path: nearly all answers arrive in one piece with their head.
                block, more = self._open_channel().take(), False
            else:
                block = await self.read_available()
                self._watchdog.alive()
                more = bool(block)
            blocks.append(block)
            size += len(block)
            if not more:
                break
        if size > limit:
            raise APIResponseValidationError(f"response exceeds {limit:,} bytes", retryable=False)
        return b"".join(blocks)

    def read_available(self) -> Awaitable[bytes]:
        """See ``HTTPResponse.read_available``."""
        channel = self._channel
        if channel is None:
            raise _closed()
        if channel.blocks or channel.failure is not None or self._parser.complete:
            return _there(channel.take())
        self._watchdog.waiting()
        # The task awaits the block directly, without an intermediate coroutine.
        reader = channel.reader = channel.create_future()
        return reader

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        if isinstance(error, APIError):
            return error
        raise error

    def release(self) -> None:
        """See ``HTTPResponse.release``."""
        self._watchdog.stop()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.release()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        self._watchdog.stop()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def expire(self) -> None:
        """Close after a timeout."""
        if self._channel is not None:
            self._channel.fail(self._watchdog.failure())

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise _closed()
        return self._channel


def _closed() -> APIConnectionError:
    return APIConnectionError("response closed during read", connected=True)


async def _there(block: bytes) -> bytes:
    return block


class _MaskedHead(bytes):
    """Head of a request, masked in repr because it contains the key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<head of a request>"
