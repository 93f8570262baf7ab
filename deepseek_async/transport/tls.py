"""TLS to the API: what is trusted, and the memory of a connection on asyncio's own event loop."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import Any, Final

READ_BUFFER: Final = 32 * 1024
"""Bytes of read buffer a connection. A TLS record holds 16 KiB at most, so larger ones only cost memory."""


def trusting_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificate and the host name checked; nothing switches that off.

    Trusts what OpenSSL trusts on this machine; the environment's ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name
    another bundle. aiohttp's own context is made when aiohttp is imported, and would not know of a variable
    that is set afterwards.
    """
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


# Reading a system's hundred and forty authorities takes 20 ms.
@lru_cache(maxsize=4)
def _context(*_bundle: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


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
