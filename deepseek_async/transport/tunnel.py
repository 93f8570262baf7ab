"""CONNECT (RFC 9110, 9.3.6): a way through an HTTP proxy to a server of which the proxy sees nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.http1 import HTTPViolation, ResponseParser


class TunnelRefused(aiohttp.ClientError):
    """The proxy answered CONNECT with something else than a 2xx."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers


class NoTunnel(aiohttp.ClientError):
    """The proxy gave no answer to CONNECT; the message says what it did instead."""


class NotAProxy(NoTunnel):
    """What came is no HTTP."""


async def open_tunnel(transport: asyncio.Transport, authority: str, fields: Mapping[str, str]) -> None:
    """Ask for the way to ``authority``, host and port, and wait until it is open. aiohttp takes no 2xx but 200."""
    answer = _Answer()
    transport.set_protocol(answer)
    transport.write(_request(authority, fields))
    parser = await answer.head
    if not 200 <= parser.status < 300:
        raise TunnelRefused(parser.status, parser.headers)


def _request(authority: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "User-Agent: deepseek-async"]
    if (authorization := fields.get("Proxy-Authorization")) is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


class _Answer(asyncio.Protocol):
    """Reads the head of the proxy's answer; a body that it announces is none (RFC 9110, 9.3.6)."""

    def __init__(self) -> None:
        self.head: asyncio.Future[ResponseParser] = asyncio.get_running_loop().create_future()
        self._parser = ResponseParser()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except HTTPViolation as violation:
            # Also for the framing of a body that never comes: the status is what counts.
            if not self._parser.status:
                self._fail(NotAProxy(f"does not speak HTTP: {violation}"))
        if self._parser.status and not self.head.done():
            self.head.set_result(self._parser)

    def connection_lost(self, exc: Exception | None) -> None:
        said = f": {plain(redact(str(exc)))[:200]}" if exc is not None else ""
        self._fail(NoTunnel(f"closed the connection{said}"))

    def _fail(self, failure: Exception) -> None:
        if not self.head.done():
            self.head.set_exception(failure)
