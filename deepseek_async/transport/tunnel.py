"""HTTP CONNECT tunnels (RFC 9110, 9.3.6), end-to-end encrypted through a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.header_fields import USER_AGENT
from deepseek_async.transport.http1 import HTTPViolation, ResponseParser


class TunnelRefused(aiohttp.ClientError):
    """The proxy answered CONNECT with a status other than 2xx."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers


class NoTunnel(aiohttp.ClientError):
    """The proxy did not answer CONNECT; the message is a predicate."""


class NotAProxy(NoTunnel):
    """The proxy's answer is not HTTP."""


async def open_tunnel(transport: asyncio.Transport, authority: str, fields: Mapping[str, str]) -> None:
    """Open a tunnel to ``authority`` (host:port). Unlike aiohttp, accepts every 2xx status."""
    answer = _Answer()
    transport.set_protocol(answer)
    transport.write(_request(authority, fields))
    parser = await answer.head
    if not 200 <= parser.status < 300:
        raise TunnelRefused(parser.status, parser.headers)


def _request(authority: str, fields: Mapping[str, str]) -> bytes:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"User-Agent: {USER_AGENT}"]
    if (authorization := fields.get("Proxy-Authorization")) is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


class _Answer(asyncio.Protocol):
    """Parses the head of the proxy's answer; announced bodies are ignored (RFC 9110, 9.3.6)."""

    def __init__(self) -> None:
        self.head: asyncio.Future[ResponseParser] = asyncio.get_running_loop().create_future()
        self._parser = ResponseParser()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except HTTPViolation as violation:
            # Includes invalid body framing: the body never comes and only the status counts.
            if not self._parser.status:
                self._fail(NotAProxy(f"sent invalid HTTP: {violation}"))
        if self._parser.status and not self.head.done():
            self.head.set_result(self._parser)

    def connection_lost(self, exc: Exception | None) -> None:
        said = f": {plain(redact(str(exc)))[:200]}" if exc is not None else ""
        self._fail(NoTunnel(f"closed the connection{said}"))

    def _fail(self, failure: Exception) -> None:
        if not self.head.done():
            self.head.set_exception(failure)
