"""Adapter for a custom transport that adds the pool methods the client needs."""

from __future__ import annotations

from contextlib import suppress
from typing import Generic, TypeVar
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

WrappedT = TypeVar("WrappedT", bound=Transport | None)


class TransportWrapper(Generic[WrappedT]):
    """A transport around another one: passes on the methods of a pool, which a custom transport need not have."""

    _transport: WrappedT

    def forget(self) -> None:
        """Drop the connections of a closed event loop."""
        self._call("forget")

    def drop(self) -> None:
        """Release the transport of a client that was not closed."""
        self._call("drop")

    def leave_to_parent(self) -> None:
        """In a forked child: abandon the parent's connections."""
        self._call("leave_to_parent")

    def _call(self, name: str) -> None:
        method = getattr(self._transport, name, None)
        if method is not None:
            with suppress(Exception):  # cleanup is best effort
                method()


class CustomTransport(TransportWrapper[Transport]):
    """Wraps the transport that ``make`` returns; requires only ``send`` and ``aclose``. Create it in a running loop."""

    def __init__(self, make: MakeTransport, options: TransportOptions) -> None:
        """Raises ConfigurationError if ``make`` does not return a transport."""
        transport = make(options)
        if not (hasattr(transport, "send") and hasattr(transport, "aclose")):
            raise ConfigurationError(
                f"transport must return an object with send and aclose, got {type(transport).__name__}"
            )
        self._transport = transport
        parts = urlsplit(options.base_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """See ``Transport.send``."""
        return await self._transport.send(outgoing, watchdog, fresh=fresh)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def distance(self) -> float | None:
        """Return None: a custom transport does not measure the round-trip time."""
        return None
