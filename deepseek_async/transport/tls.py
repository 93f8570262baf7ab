"""TLS to the API: what is trusted, and the memory of a connection on asyncio's own event loop."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import Any, Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.text.quotation import plain

READ_BUFFER: Final = 32 * 1024
"""Bytes of read buffer a connection. A TLS record holds 16 KiB at most, so larger ones only cost memory."""

_FILE: Final = "SSL_CERT_FILE"
_FOLDER: Final = "SSL_CERT_DIR"
_OTHERS: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What other programs read."""


def trusting_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificate and the host name checked; nothing switches that off.

    Trusts what OpenSSL trusts on this machine; the environment's ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name
    another bundle. aiohttp's own context is made when aiohttp is imported, and would not know of a variable
    that is set afterwards. Raises ConfigurationError as ``check_authorities`` does.
    """
    return _context(os.environ.get(_FILE), os.environ.get(_FOLDER))


def check_authorities() -> None:
    """Raise ConfigurationError for a variable of the environment that names nothing to trust."""
    if os.environ.get(_FILE) or os.environ.get(_FOLDER):
        trusting_context()


def what_is_trusted() -> str:
    """For the error of a certificate that is not: where the authorities come from, if the environment says so."""
    named = [f"{name}={os.environ[name]}" for name in (_FILE, _FOLDER) if name in os.environ]
    if named:
        return f"; trusted is what {' and '.join(named)} holds"
    other = next((name for name in _OTHERS if os.environ.get(name)), None)
    return f"; {other} is not read here, {_FILE} is" if other else ""


# Reading a system's hundred and forty authorities takes 20 ms.
@lru_cache(maxsize=4)
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    _check(file, folder)
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _check(file: str | None, folder: str | None) -> None:
    """OpenSSL passes over what it cannot read, and then trusts nobody, or others than were meant."""
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError as error:
            raise _wrong(_FILE, file, f"holds no certificates in PEM: {error.reason or error}") from None
        except OSError as error:
            raise _wrong(_FILE, file, f"cannot be read: {error.strerror}") from None
    if folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        raise _wrong(_FOLDER, folder, "is no folder")


def _wrong(variable: str, path: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{variable} names {plain(path)!r}, which {why}. Name what holds the certificates of the authorities to be "
        "trusted, or unset it to trust those of this machine",
    )


def shrink_read_buffer(transport: Any) -> None:
    """Replace the 256 KiB read buffer that ``asyncio.sslproto`` gives every connection for life.

    It makes 313 KB of memory an open stream, against 90 KB with 32 KiB, at no more CPU. The buffer has no
    public setting; the class attribute ``SSLProtocol.max_size`` would change every TLS connection of the
    process, so only this connection's own object is changed, and only if it looks as CPython 3.11 to 3.13
    make it. uvloop's transports do not, and need it not.
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
