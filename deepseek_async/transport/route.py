"""The way from this machine to one origin: straight, through a tunnel of a proxy, or by a proxy that forwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from deepseek_async.errors import APIConnectionError, APIError
from deepseek_async.transport.failures import translate
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.refusal import WANTS_PASSWORD, refused


class NetworkRoute:
    """What the pool has to know of it."""

    def __init__(self, base: URL, proxy: Proxy | None) -> None:
        self._base = base
        self.origin: Final = str(base.origin())
        self.proxy: Final = proxy
        self.named: Final = self.origin if proxy is None else proxy.on_the_way_to(self.origin)
        """How errors name the origin."""
        self.way: Final = None if proxy is None else f"through the proxy {proxy}"
        """How errors name what stands between; None for nothing."""
        self.forwarded: Final = proxy is not None and base.scheme == "http"
        """Whether the proxy reads the requests, which a tunnel hides from it."""
        secret = None if proxy is None else proxy.authorization
        self.proxy_fields: Final[Mapping[str, str]] = {} if secret is None else {"Proxy-Authorization": secret}
        """What the proxy is told in the first place; requests hold it too if it forwards them."""
        self.tls: Final = "https" in {base.scheme, None if proxy is None else URL(proxy.url).scheme}

    @property
    def fields(self) -> Mapping[str, str]:
        """What goes with every request because of the way it takes."""
        return self.proxy_fields if self.forwarded else {}

    def target(self, url: URL) -> str:
        """What stands after a request's method (RFC 9112, 3.2)."""
        return f"http://{url.host_port_subcomponent}{url.raw_path_qs}" if self.forwarded else url.raw_path_qs

    def destination(self) -> Any:
        """What aiohttp's connector wants to know of a request: where it goes, and by which way."""
        loop = asyncio.get_running_loop()
        if self.proxy is None:
            return aiohttp.ClientRequest("GET", self._base, loop=loop)
        # With Host, which aiohttp would add later: connections are pooled under a digest of these fields.
        fields = {"Host": str(self._base.host_port_subcomponent), **self.proxy_fields}
        return aiohttp.ClientRequest("GET", self._base, loop=loop, proxy=URL(self.proxy.url), proxy_headers=fields)

    def translate(self, error: Exception) -> APIError:
        """The error of ours for one of aiohttp's."""
        return translate(error, self.origin, self.proxy)

    def refusal(self, headers: Mapping[str, str]) -> APIConnectionError:
        """The error for the one answer that a forwarding proxy alone gives: it wants a password."""
        assert self.proxy is not None  # noqa: S101  who forwards is there
        return refused(self.proxy, self.origin, WANTS_PASSWORD, headers)
