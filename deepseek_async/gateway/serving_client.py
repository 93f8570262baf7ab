"""The client that a gateway sends with, which can be exchanged while requests are under way."""

from __future__ import annotations

import asyncio

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.events import Listener
from deepseek_async.relay import Relay


class ServingClient:
    """One client and the requests that use it."""

    def __init__(self, client: AsyncDeepSeek, listeners: tuple[Listener, ...]) -> None:
        self.client = client
        self.relay = client.relay
        self._listeners = listeners
        for listener in listeners:
            client.add_listener(listener)
        self._requests = 0
        self._unused = asyncio.Event()
        self._unused.set()

    # Not a generator: every request passes here.
    def __enter__(self) -> Relay:
        """Return the relay, and keep the client open for the block."""
        self._requests += 1
        self._unused.clear()
        return self.relay

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        if not self._requests:
            self._unused.set()

    async def unused(self) -> None:
        """Wait until no request uses it."""
        await self._unused.wait()

    def release(self) -> None:
        """Leave the client as it was given."""
        for listener in self._listeners:
            self.client.remove_listener(listener)
