"""Errors for proxies that refuse or fail to connect. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from deepseek_async.errors import APIConnectionError
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.tunnel import NotAProxy

WANTS_PASSWORD: Final = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED

_PASSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Transient statuses; every other status would repeat at the next attempt."""

_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)(?=\s|,|$)")
"""Scheme names in Proxy-Authenticate, without their parameters."""


def refused(proxy: Proxy, origin: str, status: int, headers: Mapping[str, str]) -> APIConnectionError:
    """Return the error for a status that the proxy itself sent; the server received nothing."""
    try:
        said = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        said = f"status {status}"
    passes = status in _PASSES
    return APIConnectionError(
        f"proxy {proxy} refused the connection to {origin}: {said}; {_advice(proxy, origin, status, headers)}",
        status_code=status,
        retryable=passes,
        reason="unreachable" if passes else "proxy",
    )


def cannot_reach(proxy: Proxy, error: Exception) -> APIConnectionError:
    """Return the error for a proxy without an answer."""
    if isinstance(error, NotAProxy):
        return APIConnectionError(
            f"proxy {proxy} {error}; {_check(proxy)}: the port must be that of an HTTP proxy",
            retryable=False,
            reason="proxy",
        )
    what = str(error)
    if isinstance(error, OSError):
        what = f"is unreachable: {plain(redact(error.strerror or what))[:200]}"
    return APIConnectionError(f"proxy {proxy} {what}; {_check(proxy)}", reason="unreachable")


def _check(proxy: Proxy) -> str:
    return f"check {proxy.source}"


def _advice(proxy: Proxy, origin: str, status: int, headers: Mapping[str, str]) -> str:
    host = urlsplit(origin).hostname or origin
    without = "omit proxy" if proxy.source == "proxy" else f"set NO_PROXY={host}"
    if status == WANTS_PASSWORD:
        schemes = _SCHEME.findall(headers.get("Proxy-Authenticate") or "")
        if schemes and "basic" not in map(str.lower, schemes):
            return (
                f"it requires {' or '.join(dict.fromkeys(schemes))} authentication and only Basic is supported: run a "
                f"relay that authenticates, such as cntlm or px, and set {proxy.source} to it"
            )
        if proxy.authorization is not None:
            return f"correct the user name and password in {proxy.source}"
        scheme, _, address = proxy.url.partition("://")
        return f"add user name and password: {proxy.source}={scheme}://USER:PASSWORD@{address}"
    if status in _PASSES:
        return "the proxy cannot reach the server at the moment"
    if status == HTTPStatus.FORBIDDEN:
        return f"allow {host} on the proxy, or bypass it: {without}"
    return f"{_check(proxy)}: it must be an HTTP proxy that supports CONNECT; to bypass it, {without}"
