"""What the rest of the library needs from a transport, so that another one can take its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec
from yarl import URL

from deepseek_async.errors import APIError
from deepseek_async.files.upload import UploadBody
from deepseek_async.transport.watchdog import Watchdog


class TextFeed(Protocol):
    """Texts that are not there yet when the connection is made."""

    begun: bool
    """Whether any was asked for: they come once."""
    characters: int
    """Of those that have gone out, as they are billed."""

    def frames(self) -> AsyncIterator[str]:
        """What to send, in its order, as whole messages."""
        ...


class HTTPRequest(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, ready to be sent as often as needed."""

    method: str
    path: str
    """Below the base URL, beginning with a slash."""
    body: bytes | UploadBody | None = None
    headers: Mapping[str, str] | None = None
    """Added to the session's own; None for none."""
    texts: TextFeed | None = None
    """What is said over a WebSocket; None for plain HTTP."""

    def __repr__(self) -> str:
        return f"<Outgoing {self.method} {self.path}, {len(self.body or b'')} bytes>"


_BESIDE: Final = ("/beta/", "/anthropic/", "/v1/tools/")
"""What stands beside /v1 and not below it, whatever the base is (DeepSeek docs, FIM guide, Anthropic API, Search)."""


def url_of(base_url: str, path: str) -> URL:
    """Where ``path`` is asked for."""
    if path.startswith(_BESIDE):
        base_url = base_url.removesuffix("/v1").removesuffix("/beta").removesuffix("/anthropic")
    return URL(base_url + path, encoded=True)


class HTTPResponse(Protocol):
    """A response whose head has arrived. Ends with exactly one of ``release`` or ``close``."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, by name in any case."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises APIConnectionError if it breaks off, APIResponseValidationError past ``limit``."""
        ...

    def read_available(self) -> Awaitable[bytes]:
        """Await it, at once, for whatever has arrived, the first byte waited for; empty at the end of the body.

        The one method that raises the transport's own exceptions: it runs once for every read of a stream,
        where a coroutine around it is felt. ``explain`` makes them ours.
        """
        ...

    def explain(self, error: Exception) -> APIError:
        """The error to raise in the place of what ``read_available`` raised; foreign errors are raised again."""
        ...

    def release(self) -> None:
        """The body was read to its end: the connection may serve again."""
        ...

    def close(self) -> None:
        """Give the connection up, whatever is still on it. Wakes a reader that waits."""
        ...


class TransportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a transport is made from: one server, as the client's settings describe it."""

    base_url: str
    """Scheme, host, port and path, without a slash at the end."""
    headers: Mapping[str, str]
    """Sent with every request; ``Authorization`` among them, masked in every text."""
    connections: int
    """The largest number that the process may have open."""
    proxy: str | None = None
    """URL of an HTTP proxy."""

    # A struct's own repr would show a password in the proxy's URL.
    __repr__ = object.__repr__

    def url(self, path: str) -> str:
        """The full URL of a request's ``path``."""
        return str(url_of(self.base_url, path))


class Transport(Protocol):
    """Sends requests to one server over a pool of connections, bound to one event loop.

    ``AsyncDeepSeek(transport=make)`` uses another one than its own: ``make`` is called with TransportOptions inside
    the running event loop. Nothing else in the client retries, waits or reads the clock for it, so:

    - Redirects are not followed, cookies not kept, bodies not decompressed: ask for ``Accept-Encoding: identity``.
    - A status is never an error here, and no exception but ours leaves it, not even as a context: others may hold the
      key. ``read_available`` alone may raise its own, for ``explain``.
    - ``watchdog`` times the attempt. Tell it how to break the wait: ``guard(break)`` before connecting, ``sent(break)``
      when the request goes out, ``waiting()`` before each wait for bytes, ``alive()`` after it, ``stop()`` in
      ``release`` and ``close``. When ``watchdog.expired`` is set, raise ``watchdog.failure()``.
    - A cancelled ``send`` closes its connection.

    ``deepseek_async.transport.conformance.check_transport`` tries all of it against a server on this machine.
    """

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """Send and wait for the response's head, whatever its status.

        ``fresh`` says that no kept connection will do, because the last one was found dead.
        Raises APIConnectionError, or APITimeoutError when ``watchdog`` fires.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


MakeTransport = Callable[[TransportOptions], Transport]
"""Makes a transport to one server, inside the running event loop."""
