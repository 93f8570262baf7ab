"""aiohttp's exceptions to ours. The request in them carries the Authorization header, so none is chained."""

from __future__ import annotations

import errno
import ssl

import aiohttp

from deepseek_async.errors import APIConnectionError, APIError, APITimeoutError
from deepseek_async.text.quotation import plain
from deepseek_async.text.redaction import redact
from deepseek_async.transport.handler import MalformedBodyError, StaleConnectionError
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.refusal import cannot_reach, refused
from deepseek_async.transport.tls import what_is_trusted
from deepseek_async.transport.tunnel import NoTunnel, TunnelRefused


def translate(error: Exception, origin: str, proxy: Proxy | None = None) -> APIError:
    """The error of ours that says what ``error`` said, without holding it.

    ``proxy`` is the one that stands between this machine and ``origin``.
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
                f"TLS with {origin} failed: {_said(error)}. Check base_url and the certificates of this machine"
                f"{what_is_trusted()}",
                retryable=False,
                reason="tls",
            )
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return APIConnectionError(
                f"no connection to {origin}: this process may open no more files (ulimit -n); lower max_concurrency",
                reason="descriptors",
            )
        case aiohttp.ConnectionTimeoutError() | TimeoutError():
            return APITimeoutError(
                f"no connection to {origin} in time (timeout.connect)",
                phase="connect",
                reason="unreachable",
            )
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return APIConnectionError(f"the proxy on the way to {origin} failed: {_said(error)}", reason="unreachable")
        case aiohttp.ClientConnectorDNSError():
            return APIConnectionError(
                f"the name of {origin} cannot be resolved; check base_url and the network",
                reason="unreachable",
            )
        case aiohttp.ClientConnectorError() | ConnectionRefusedError():
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            return APIConnectionError(f"cannot connect to {origin}: {_said(cause)}", reason="unreachable")
        case aiohttp.ClientResponseError() | MalformedBodyError():
            # aiohttp reports a response that it cannot parse as status 400; it is not an API 400.
            return APIConnectionError(
                f"{origin} does not speak proper HTTP: {_said(error)}",
                connected=True,
                reason="protocol",
            )
        case StaleConnectionError():
            return APIConnectionError(f"{origin} had closed a kept connection", connected=True, reused=True)
        case aiohttp.ClientPayloadError():
            return APIConnectionError(f"the response of {origin} broke off: {_said(error)}", connected=True)
        case _:
            return APIConnectionError(f"the connection to {origin} failed: {_said(error)}", connected=True)


def _said(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # Its str() holds the request's URL only, but its repr and args hold the headers.
        return plain(redact(str(error.message)))[:200]
    if isinstance(error, OSError) and error.strerror:
        return plain(redact(error.strerror))[:200]
    return plain(redact(str(error) or type(error).__name__))[:200]
