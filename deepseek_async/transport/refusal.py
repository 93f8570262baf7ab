"""What a proxy says or does instead of carrying a request, as errors that say what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from deepseek_async.errors import APIConnectionError
from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.tunnel import NotAProxy

WANTS_PASSWORD: Final = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED

_PASSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses of trouble that may be over at the next attempt; every other one says what will be said again."""

_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)(?=\s|,|$)")
"""The names in Proxy-Authenticate, and not those of their parameters."""


def refused(proxy: Proxy, origin: str, status: int, headers: Mapping[str, str]) -> APIConnectionError:
    """The proxy answered ``status`` for itself, and the server has seen nothing."""
    try:
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = f"status {status}"
    passes = status in _PASSES
    return APIConnectionError(
        f"the proxy {proxy} opens no way to {origin}: {said}. {_advice(proxy, origin, status, headers)}",
        status_code=status,
        retryable=passes,
        reason="unreachable" if passes else "proxy",
    )


def cannot_reach(proxy: Proxy, error: Exception) -> APIConnectionError:
    """The proxy gave no answer."""
    if isinstance(error, NotAProxy):
        return APIConnectionError(
            f"the proxy {proxy} {error}. {_check(proxy)}: is it the port of an HTTP proxy?",
            retryable=False,
            reason="proxy",
        )
    what = str(error)
    if isinstance(error, OSError):
        what = f"cannot be reached: {plain(redact(error.strerror or what))[:200]}"
    return APIConnectionError(f"the proxy {proxy} {what}. {_check(proxy)}", reason="unreachable")


def _check(proxy: Proxy) -> str:
    return f"Check {proxy.source}"


def _advice(proxy: Proxy, origin: str, status: int, headers: Mapping[str, str]) -> str:
    host = urlsplit(origin).hostname or origin
    without = "leave proxy out" if proxy.source == "proxy" else f"set NO_PROXY={host}"
    if status == WANTS_PASSWORD:
        schemes = _SCHEME.findall(headers.get("Proxy-Authenticate") or "")
        if schemes and "basic" not in map(str.lower, schemes):
            return (
                f"It asks for {' or '.join(dict.fromkeys(schemes))} and this client can Basic only: run a relay that "
                f"logs in, such as cntlm or px, and name that as {proxy.source}"
            )
        if proxy.authorization is not None:
            return f"It does not take the user name and password in {proxy.source}"
        scheme, _, address = proxy.url.partition("://")
        return f"Name it with user name and password: {proxy.source}={scheme}://USER:PASSWORD@{address}"
    if status in _PASSES:
        return "The server, its name or the proxy itself is out of reach for now"
    if status == HTTPStatus.FORBIDDEN:
        return f"Have {host} allowed there, or go without it: {without}"
    return f"{_check(proxy)}: it must be an HTTP proxy that takes CONNECT; to go without it, {without}"
