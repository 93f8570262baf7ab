"""aiohttp's TCPConnector as we want it: the pool of connections, with DNS, TLS, proxies and happy eyeballs."""

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
"""For which an address that works is used without asking for its name again; getaddrinfo tells no time to live."""


def open_connector(limit: int, *, tls: bool) -> aiohttp.TCPConnector:
    """A pool of at most ``limit`` connections, bound to the running event loop."""
    return Connector(
        limit=limit,
        ttl_dns_cache=_DNS_SECONDS,
        # Installing aiodns would otherwise change the resolver, with its long negative caching.
        resolver=Resolver(),
        keepalive_timeout=30,
        socket_factory=_keep_alive_socket,
        ssl=trusting_context() if tls else True,
    )


def forget(connector: aiohttp.BaseConnector | None) -> None:
    """Drop the pool of an event loop that has ended; its sockets cannot be closed in order any more."""
    if connector is None or connector.closed:
        return
    kept = [protocol for protocols in connector._conns.values() for protocol, _ in protocols]  # noqa: SLF001
    transports = [protocol.transport for protocol in (*kept, *connector._acquired)]  # noqa: SLF001
    # close() is a coroutine, and there is no loop left to run it.
    connector._close()  # noqa: SLF001
    if connector._loop.is_closed():  # noqa: SLF001
        for transport in transports:
            _close_socket(transport)


def drop(connector: aiohttp.BaseConnector | None) -> None:
    """Close a pool whose client is gone: what is idle now, and what is in use when its answer ends.

    May be called by the collector, and so on any thread and at any moment.
    """
    if connector is None or connector.closed:
        return
    if not connector._loop.is_closed():  # noqa: SLF001
        with suppress(RuntimeError):  # it was closed at this moment
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
    """In a forked child: give up the pool of the parent, whose sockets are neither written to nor closed in order."""
    if connector is None or connector.closed:
        return
    kept = [protocol for protocols in connector._conns.values() for protocol, _ in protocols]  # noqa: SLF001
    for protocol in (*kept, *connector._acquired):  # noqa: SLF001
        if protocol.transport is not None:
            leave_socket(protocol.transport)
    leave((connector, list(connector._conns.items())))  # noqa: SLF001
    # What it would do on the parent's event loop when it is closed, or collected, is not done.
    connector._closed = True  # noqa: SLF001


class Connector(aiohttp.TCPConnector):
    """Opens tunnels by itself, forgets addresses that lead nowhere, and says nothing when it is dropped unclosed."""

    async def _create_connection(self, *arguments: Any, **options: Any) -> ResponseHandler:
        handler = await super()._create_connection(*arguments, **options)
        # Most of the read buffer that asyncio gives TLS is given back as soon as the connection is made.
        shrink_read_buffer(handler.transport)
        return handler

    async def _create_direct_connection(self, req: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await super()._create_direct_connection(req, *arguments, **options)
        except BaseException:
            # The addresses that were known did not lead there, or not in time: the next attempt asks for them anew.
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
        """Not aiohttp's complaint: whoever forgot to close the client is told so by the client, once."""


def _close_socket(transport: Any) -> None:
    """Close what a transport of a closed loop holds; its own ``close`` would ask the loop."""
    tls = getattr(transport, "_ssl_protocol", None)
    if tls is not None:
        transport._closed = True  # noqa: SLF001
        _close_socket(tls._transport)  # noqa: SLF001
    held = getattr(transport, "_sock", None)
    if isinstance(held, socket.socket):
        held.close()
        transport._sock = None  # noqa: SLF001


def _keep_alive_socket(address: Any) -> socket.socket:
    """A socket on which the kernel notices a peer that vanished, also while an answer takes minutes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        option = getattr(socket, name, None)  # not on every platform
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return made
