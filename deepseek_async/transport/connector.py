"""Customised aiohttp TCPConnector: connection pool with DNS, TLS, proxies and happy eyeballs."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from deepseek_async.process.forks import leave, leave_socket
from deepseek_async.transport.resolver import Resolver
from deepseek_async.transport.tls import shrink_read_buffer, trusting_context
from deepseek_async.transport.tunnel import open_tunnel

_DNS_SECONDS: Final = 60
"""Lifetime of a cached address that works; getaddrinfo reports no time to live."""


def open_connector(limit: int, *, tls: bool) -> aiohttp.TCPConnector:
    """Return a pool of at most ``limit`` connections, bound to the running event loop."""
    return Connector(
        limit=limit,
        ttl_dns_cache=_DNS_SECONDS,
        # If aiodns is installed, aiohttp would switch to it, with its long negative caching.
        resolver=Resolver(),
        keepalive_timeout=30,
        socket_factory=_keep_alive_socket,
        ssl=trusting_context() if tls else True,
    )


def forget(connector: aiohttp.BaseConnector | None) -> None:
    """Drop the pool of a closed event loop; an orderly shutdown of its sockets is no longer possible."""
    if connector is None or connector.closed:
        return
    kept = [protocol for protocols in connector._conns.values() for protocol, _ in protocols]  # noqa: SLF001
    transports = [protocol.transport for protocol in (*kept, *connector._acquired)]  # noqa: SLF001
    # close() is a coroutine, and no loop is left to run it.
    connector._close()  # noqa: SLF001
    if connector._loop.is_closed():  # noqa: SLF001
        for transport in transports:
            _close_socket(transport)


def drop(connector: aiohttp.BaseConnector | None) -> None:
    """Close the pool of a garbage-collected client: idle connections now, busy ones when their answer ends.

    The garbage collector may call it on any thread at any moment.
    """
    if connector is None or connector.closed:
        return
    if not connector._loop.is_closed():  # noqa: SLF001
        with suppress(RuntimeError):  # the loop was closed meanwhile
            connector._loop.call_soon_threadsafe(_close_idle, connector)  # noqa: SLF001
            return
    forget(connector)


def _close_idle(connector: aiohttp.BaseConnector) -> None:
    connector._force_close = True  # noqa: SLF001
    for protocols in connector._conns.values():  # noqa: SLF001
        for protocol, _ in protocols:
            protocol.abort()
    connector._conns.clear()  # noqa: SLF001


def leave_to_parent(connector: aiohttp.BaseConnector | None) -> None:
    """In a forked child: abandon the parent's pool without writing to its sockets or shutting them down."""
    if connector is None or connector.closed:
        return
    kept = [protocol for protocols in connector._conns.values() for protocol, _ in protocols]  # noqa: SLF001
    for protocol in (*kept, *connector._acquired):  # noqa: SLF001
        if protocol.transport is not None:
            leave_socket(protocol.transport)
    leave((connector, list(connector._conns.items())))  # noqa: SLF001
    # Keeps close() and the finalizer from acting on the parent's event loop.
    connector._closed = True  # noqa: SLF001


class Connector(aiohttp.TCPConnector):
    """Opens CONNECT tunnels, evicts addresses that failed, and emits no warning when dropped unclosed."""

    async def _create_connection(self, *arguments: Any, **options: Any) -> ResponseHandler:
        handler = await super()._create_connection(*arguments, **options)
        # Shrink asyncio's TLS read buffer right after the handshake.
        shrink_read_buffer(handler.transport)
        return handler

    async def _create_direct_connection(self, req: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await super()._create_direct_connection(req, *arguments, **options)
        except BaseException:
            # Evict the cached addresses, which failed or timed out, so that the next attempt resolves the name again.
            self.clear_dns_cache(req.url.raw_host, req.port)
            raise

    async def _create_proxy_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
        if not req.is_ssl():
            return await super()._create_proxy_connection(req, traces, timeout)
        proxy = self._update_proxy_auth_header_and_build_proxy_req(req)
        transport, _ = await self._create_direct_connection(
            *(proxy, [], timeout), client_error=aiohttp.ClientProxyConnectionError
        )
        try:
            authority = f"{req.url.host_subcomponent}:{req.port}"
            await open_tunnel(transport, authority, proxy.headers)
        except BaseException:
            transport.abort()
            raise
        return await self._start_tls_connection(transport, req=req, timeout=timeout)

    def __del__(self, *_: object) -> None:
        """Suppress aiohttp's warning: the client itself warns once if it was not closed."""


def _close_socket(transport: Any) -> None:
    """Close the socket of a transport whose loop is closed; its own ``close`` would call the loop."""
    tls = getattr(transport, "_ssl_protocol", None)
    if tls is not None:
        transport._closed = True  # noqa: SLF001
        _close_socket(tls._transport)  # noqa: SLF001
    held = getattr(transport, "_sock", None)
    if isinstance(held, socket.socket):
        held.close()
        transport._sock = None  # noqa: SLF001


def _keep_alive_socket(address: Any) -> socket.socket:
    """Return a socket with TCP keep-alive, to detect a dead peer during an answer that takes minutes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(socket, name, None)  # not on every platform
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return made
