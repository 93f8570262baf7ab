"""Route to one origin: direct, through a proxy tunnel, or through a forwarding proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from deepseek_async.errors import APIConnectionError, APIError
from deepseek_async.transport.failures import translate
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.proxy_refusal import WANTS_PASSWORD, refused


class NetworkRoute:
    """Route parameters for the pool."""

    def __init__(self, base: URL, proxy: Proxy | None) -> None:
        self._base = base
        self.origin: Final = str(base.origin())
        self.proxy: Final = proxy
        self.named: Final = self.origin if proxy is None else proxy.on_the_way_to(self.origin)
        """Name of the origin in error messages."""
        self.way: Final = None if proxy is None else f"through proxy {proxy}"
        """Description of the proxy in error messages; None without one."""
        self.forwarded: Final = proxy is not None and base.scheme == "http"
        """Whether the proxy forwards requests in the clear; a tunnel hides them from it."""
        secret = None if proxy is None else proxy.authorization
        self.proxy_fields: Final[Mapping[str, str]] = {} if secret is None else {"Proxy-Authorization": secret}
        """Header fields for the CONNECT request, or for every request if the proxy forwards them."""
        self.tls: Final = "https" in {base.scheme, None if proxy is None else URL(proxy.url).scheme}

    @property
    def fields(self) -> Mapping[str, str]:
        """Header fields that the route adds to every request."""
        return self.proxy_fields if self.forwarded else {}

    def target(self, url: URL) -> str:
        """Return the request target (RFC 9112, 3.2)."""
        return f"http://{url.host_port_subcomponent}{url.raw_path_qs}" if self.forwarded else url.raw_path_qs

    def destination(self) -> Any:
        """Return the connection key that aiohttp's connector expects: destination and route."""
        loop = asyncio.get_running_loop()
        if self.proxy is None:
            return aiohttp.ClientRequest("GET", self._base, loop=loop)
        # Includes Host, which aiohttp would add later: connections are pooled under a hash of these fields.
        fields = {"Host": str(self._base.host_port_subcomponent), **self.proxy_fields}
        return aiohttp.ClientRequest("GET", self._base, loop=loop, proxy=URL(self.proxy.url), proxy_headers=fields)

    def translate(self, error: Exception) -> APIError:
        """Return the library error for an aiohttp exception."""
        return translate(error, self.origin, self.proxy)

    def refusal(self, headers: Mapping[str, str]) -> APIConnectionError:
        """Return the error for a 407, which only a forwarding proxy sends as a response."""
        assert self.proxy is not None  # noqa: S101  only a proxy forwards
        return refused(self.proxy, self.origin, WANTS_PASSWORD, headers)
