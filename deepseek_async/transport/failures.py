"""Translation of aiohttp exceptions. They hold the request with its Authorization header, so none is chained."""

from __future__ import annotations

import errno
import ssl

import aiohttp

from deepseek_async.errors import APIConnectionError, APIError, APITimeoutError
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.handler import MalformedBodyError, StaleConnectionError
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.proxy_refusal import cannot_reach, refused
from deepseek_async.transport.tls import what_is_trusted
from deepseek_async.transport.tunnel import NoTunnel, TunnelRefused


def translate(error: Exception, origin: str, proxy: Proxy | None = None) -> APIError:
    """Return the library error for ``error``, without a reference to it.

    ``proxy`` is the proxy in front of ``origin``, if any.
    """
    if proxy is not None:
        if isinstance(error, TunnelRefused):
            return refused(proxy, origin, error.status, error.headers)
        if isinstance(error, NoTunnel | aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError):
            return cannot_reach(proxy, error)
        origin = proxy.on_the_way_to(origin)
    return _translate(error, origin)


def _translate(error: Exception, origin: str) -> APIError:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return APIConnectionError(
                f"TLS handshake with {origin} failed: {_said(error)}; check base_url and this machine's certificates"
                f"{what_is_trusted()}",
                retryable=False,
                reason="tls",
            )
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return APIConnectionError(
                f"cannot connect to {origin}: too many open files (ulimit -n); lower max_concurrency",
                reason="descriptors",
            )
        case aiohttp.ConnectionTimeoutError() | TimeoutError():
            return APITimeoutError(
                f"cannot connect to {origin}: timed out (timeout.connect)",
                phase="connect",
                reason="unreachable",
            )
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return APIConnectionError(f"cannot connect to {origin}: proxy failed: {_said(error)}", reason="unreachable")
        case aiohttp.ClientConnectorDNSError():
            return APIConnectionError(
                f"cannot resolve the host name of {origin}; check base_url and the network",
                reason="unreachable",
            )
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            return APIConnectionError(f"cannot connect to {origin}: {_said(cause)}", reason="unreachable")
        case aiohttp.ClientResponseError() | MalformedBodyError():
            # aiohttp reports an unparsable response as status 400, which is not an API 400.
            return APIConnectionError(
                f"invalid HTTP response from {origin}: {_said(error)}",
                connected=True,
                reason="protocol",
            )
        case StaleConnectionError():
            return APIConnectionError(f"{origin} had closed an idle connection", connected=True, reused=True)
        case aiohttp.ClientPayloadError():
            return APIConnectionError(f"response from {origin} broke off: {_said(error)}", connected=True)
        case _:
            return APIConnectionError(f"connection to {origin} failed: {_said(error)}", connected=True)


def _said(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # Its str() contains only the request's URL; its repr and args contain the headers.
        return plain(redact(str(error.message)))[:200]
    if isinstance(error, OSError) and error.strerror:
        return plain(redact(error.strerror))[:200]
    return plain(redact(str(error) or type(error).__name__))[:200]
