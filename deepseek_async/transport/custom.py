"""A transport of the user's own, with what the client needs of a pool beside it."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from deepseek_async.errors import ConfigurationError
from deepseek_async.transport.protocol import (
    HTTPRequest,
    HTTPResponse,
    MakeTransport,
    Transport,
    TransportOptions,
)
from deepseek_async.transport.watchdog import Watchdog


class CustomTransport:
    """What ``make`` returned, asked for ``send`` and ``aclose`` only. Must be made inside a running event loop."""

    def __init__(self, make: MakeTransport, options: TransportOptions) -> None:
        """Raises ConfigurationError if ``make`` returns something that is no transport."""
        transport = make(options)
        if not (hasattr(transport, "send") and hasattr(transport, "aclose")):
            raise ConfigurationError(
                f"transport must return an object with send and aclose, got {type(transport).__name__}"
            )
        self._transport: Transport = transport
        parts = urlsplit(options.base_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """See ``Transport.send``."""
        return await self._transport.send(outgoing, watchdog, fresh=fresh)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def distance(self) -> float | None:
        """How far the server is; not known of another transport."""
        return None

    def forget(self) -> None:
        """The event loop has ended, and with it what the transport had open."""
        self._call("forget")

    def drop(self) -> None:
        """The client is gone without having been closed."""
        self._call("drop")

    def leave_to_parent(self) -> None:
        """In a forked child: give up what is the parent's."""
        self._call("leave_to_parent")

    def _call(self, name: str) -> None:
        method = getattr(self._transport, name, None)
        if method is not None:
            with suppress(Exception):  # what is left behind is not worth an error
                method()
