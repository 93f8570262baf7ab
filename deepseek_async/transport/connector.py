"""aiohttp's TCPConnector as we want it: the pool of connections, with DNS, TLS and happy eyeballs."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.connector import Connection

from deepseek_async.forks import leave, leave_socket
from deepseek_async.transport.tls import shrink_read_buffer, trusting_context


def open_connector(limit: int, connect_timeout: float, *, tls: bool) -> aiohttp.TCPConnector:
    """A pool of at most ``limit`` connections, bound to the running event loop."""
    return (_TLSConnector if tls else aiohttp.TCPConnector)(
        limit=limit,
        ttl_dns_cache=300,
        # Installing aiodns would otherwise change the resolver, with its long negative caching.
        resolver=_Resolver(connect_timeout),
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


class _TLSConnector(aiohttp.TCPConnector):
    """Its connections give back most of asyncio's read buffer as soon as they are made."""

    async def connect(self, *arguments: Any, **options: Any) -> Connection:
        connection = await super().connect(*arguments, **options)
        shrink_read_buffer(connection.transport)
        return connection


class _Resolver(aiohttp.ThreadedResolver):
    """aiohttp times the connection, but not the look-up of the name before it."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    async def resolve(self, *arguments: Any, **options: Any) -> list[ResolveResult]:
        async with asyncio.timeout(self._timeout):
            return await super().resolve(*arguments, **options)


def _close_socket(transport: Any) -> None:
    """Close what a transport of a closed loop holds; its own ``close`` would ask the loop."""
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
