"""TLS configuration: trusted certificate authorities, and the read buffer of asyncio's TLS connections."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import Any, Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.text.quoting import plain

READ_BUFFER: Final = 32 * 1024
"""Read buffer per connection in bytes. A TLS record holds at most 16 KiB, so a larger buffer only costs memory."""

_FILE: Final = "SSL_CERT_FILE"
_FOLDER: Final = "SSL_CERT_DIR"
_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""CA bundle variables of other programs, which this library ignores."""


def trusting_context() -> ssl.SSLContext:
    """Return a context for TLS 1.2 or newer; verification of certificate and host name cannot be disabled.

    Trusts OpenSSL's default authorities; the environment variables ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace
    them. aiohttp's own context is built on import and would miss a variable that is set later. Raises
    ConfigurationError like ``check_authorities``.
    """
    return _context(os.environ.get(_FILE), os.environ.get(_FOLDER))


def check_authorities() -> None:
    """Raise ConfigurationError if an environment variable names a missing or unusable CA bundle."""
    if os.environ.get(_FILE) or os.environ.get(_FOLDER):
        trusting_context()


def what_is_trusted() -> str:
    """Return a hint on the configured authorities for certificate errors; empty if nothing is configured."""
    named = [f"{name}={os.environ[name]}" for name in (_FILE, _FOLDER) if name in os.environ]
    if named:
        return f"; trusted authorities come from {' and '.join(named)}"
    other = next((name for name in _OTHERS if os.environ.get(name)), None)
    return f"; {other} is ignored, set {_FILE}" if other else ""


# Loading the system's hundred and forty authorities takes 20 ms.
@lru_cache(maxsize=4)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    _check(file, folder)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check(file: str | None, folder: str | None) -> None:
    """Raise ConfigurationError for unusable paths: OpenSSL ignores them and then trusts none or other authorities."""
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError as error:
            raise _wrong(_FILE, file, f"contains no PEM certificates: {error.reason or error}") from None
        except OSError as error:
            raise _wrong(_FILE, file, f"cannot be read: {error.strerror}") from None
    if folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        raise _wrong(_FOLDER, folder, "is not a folder")


def _wrong(variable: str, path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} names {plain(path)!r}, which {why}; set it to a bundle of trusted CA certificates, or unset it "
        "to trust the system's",
    )


def shrink_read_buffer(transport: Any) -> None:
    """Replace the 256 KiB read buffer that ``asyncio.sslproto`` allocates per connection.

    It accounts for 313 KB of memory per open stream, against 90 KB with 32 KiB, at no more CPU. There is no public
    setting, and the class attribute ``SSLProtocol.max_size`` would affect every TLS connection of the process, so
    only this connection's object is changed, and only if it has the layout of CPython 3.11 to 3.13. uvloop's
    transports have no such buffer.
    """
    protocol = getattr(transport, "_ssl_protocol", None)
    buffer = getattr(protocol, "_ssl_buffer", None)
    if protocol is None or not isinstance(buffer, bytearray) or len(buffer) <= READ_BUFFER:
        return
    if not hasattr(protocol, "_ssl_buffer_view") or not hasattr(protocol, "max_size"):
        return
    smaller = bytearray(READ_BUFFER)
    protocol.max_size = READ_BUFFER
    protocol._ssl_buffer = smaller  # noqa: SLF001
    protocol._ssl_buffer_view = memoryview(smaller)  # noqa: SLF001
