"""Transport interface that the rest of the library depends on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec
from yarl import URL

from deepseek_async.errors import APIError
from deepseek_async.files.upload import UploadBody
from deepseek_async.transport.watchdog import Watchdog


class TextFeed(Protocol):
    """Texts that become available only after the connection is open."""

    begun: bool
    """Whether iteration has started; the texts can be iterated once."""
    characters: int
    """Characters sent so far, the billed quantity."""

    def frames(self) -> AsyncIterator[str]:
        """Yield the messages to send, in order."""
        ...


class HTTPRequest(msgspec.Struct, frozen=True, gc=False):
    """One immutable HTTP request; may be sent several times."""

    method: str
    path: str
    """Path below the base URL, with a leading slash."""
    body: bytes | UploadBody | None = None
    headers: Mapping[str, str] | None = None
    """Additional headers beside the session's own."""
    texts: TextFeed | None = None
    """Texts to send over a WebSocket; None for plain HTTP."""

    def __repr__(self) -> str:
        return f"<Outgoing {self.method} {self.path}, {len(self.body or b'')} bytes>"


_BESIDE: Final = ("/beta/", "/anthropic/", "/v1/tools/")
"""Paths beside /v1, independent of the base path (DeepSeek docs, FIM guide, Anthropic API, Search)."""


def url_of(base_url: str, path: str) -> URL:
    """Return the URL of ``path``."""
    if path.startswith(_BESIDE):
        base_url = base_url.removesuffix("/v1").removesuffix("/beta").removesuffix("/anthropic")
    return URL(base_url + path, encoded=True)


class HTTPResponse(Protocol):
    """A response whose head has arrived. End it with exactly one of ``release`` or ``close``."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields; names are case-insensitive."""
        ...

    async def read(self, limit: int) -> bytes:
        """Read the whole body. Raises APIConnectionError if truncated, APIResponseValidationError above ``limit``."""
        ...

    def read_available(self) -> Awaitable[bytes]:
        """Return an awaitable, to be awaited at once, for the next available body bytes; empty at the end of the body.

        The only method that raises the transport's own exceptions: it runs once per read of a stream, where a
        wrapping coroutine would be measurable. Translate them with ``explain``.
        """
        ...

    def explain(self, error: Exception) -> APIError:
        """Return the library error for an exception of ``read_available``; re-raises exceptions of other origin."""
        ...

    def release(self) -> None:
        """Return the connection to the pool after the body was read to its end."""
        ...

    def close(self) -> None:
        """Abort the connection, discarding unread data. Wakes a waiting reader."""
        ...


class TransportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a transport to one server, from the client's settings."""

    base_url: str
    """Scheme, host, port and path, without a trailing slash."""
    headers: Mapping[str, str]
    """Headers for every request, including ``Authorization``, which is masked in every text."""
    connections: int
    """Maximum number of open connections."""
    proxy: str | None = None
    """URL of an HTTP proxy."""

    # A struct's default repr would show a password in the proxy URL.
    __repr__ = object.__repr__

    def url(self, path: str) -> str:
        """Return the full URL of a request path."""
        return str(url_of(self.base_url, path))


class Transport(Protocol):
    """Sends requests to one server over a connection pool, bound to one event loop.

    To use a custom transport, pass ``AsyncDeepSeek(transport=make)``: ``make`` is called with TransportOptions inside
    the running event loop. The client retries and times calls on top of the transport, so:

    - Do not follow redirects, keep cookies or decompress bodies: send ``Accept-Encoding: identity``.
    - Return every status. Raise only this library's exceptions, also as ``__context__``, because others may hold the
      key. Only ``read_available`` may raise others, for ``explain``.
    - ``watchdog`` times the attempt. Register how to break the wait: ``guard(break)`` before connecting,
      ``sent(break)`` when sending the request. Call ``waiting()`` before each wait for bytes, ``alive()`` after it,
      and ``stop()`` in ``release`` and ``close``. If ``watchdog.expired`` is set, raise ``watchdog.failure()``.
    - Close the connection of a cancelled ``send``.

    ``deepseek_async.transport.conformance.check_transport`` checks this contract against a loopback server.
    """

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """Send a request and wait for the response head, whatever its status.

        ``fresh`` requires a new connection, because the last pooled one was stale.
        Raises APIConnectionError, APITimeoutError if ``watchdog`` fires, or ConfigurationError for a request that it
        will not send, which is not billed then.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


MakeTransport = Callable[[TransportOptions], Transport]
"""Factory of a transport to one server; called inside the running event loop."""
