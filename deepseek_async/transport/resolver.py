"""Name resolution."""

from __future__ import annotations

import socket
from typing import Any, Final

import aiohttp
from aiohttp.abc import ResolveResult

from deepseek_async.transport.hosts import is_localhost

_LOOPBACK: Final[dict[socket.AddressFamily, str]] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Resolver(aiohttp.ThreadedResolver):
    """aiohttp's resolver (getaddrinfo in a thread), with complete results for ``localhost``."""

    async def resolve(self, host: str, port: int = 0, *arguments: Any, **options: Any) -> list[ResolveResult]:
        """aiohttp callback."""
        if is_localhost(host):
            return await self._resolve_localhost(host, port)
        return await super().resolve(host, port, *arguments, **options)

    async def _resolve_localhost(self, host: str, port: int) -> list[ResolveResult]:
        """Return the system's addresses, followed by the loopback address of each family (RFC 6761, 6.3).

        Many hosts files list only 127.0.0.1, and AI_ADDRCONFIG, which aiohttp sets, omits ::1 if only the loopback
        interface has an IPv6 address: a server listening on ::1 would not be found.
        """
        try:
            found = await self._loop.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
        except socket.gaierror:
            found = []
        addresses: dict[str, socket.AddressFamily] = {
            str(address[0]): family for family, _, _, _, address in found if family in _LOOPBACK
        }
        missing = _LOOPBACK.keys() - addresses.values()
        addresses |= {_LOOPBACK[family]: family for family in sorted(missing)}
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address, family in addresses.items()
        ]
