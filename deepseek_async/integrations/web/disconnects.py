"""Notices that clients of aiohttp.web have left while nothing is written to them.

aiohttp tells a handler only by cancelling it (``handler_cancellation``, off by default), and by the failure of a write.
A queued answer writes nothing: one timer looks at the transports of all who wait, every 20 ms.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

_PAUSE: Final = 0.02


class Disconnects:
    """The clients of one event loop that are waited for."""

    _of_loops: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Disconnects]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._watched: dict[asyncio.Future[None], asyncio.BaseTransport] = {}
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of_this_loop(cls) -> Disconnects:
        """Return the one of the running loop."""
        return cls._of_loops.setdefault(asyncio.get_running_loop(), cls())

    @contextmanager
    def watch(self, transport: asyncio.BaseTransport | None) -> Generator[asyncio.Future[None]]:
        """Return a future that is done when ``transport`` closes; None has closed already."""
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if transport is None:
            left.set_result(None)
        else:
            self._watched[left] = transport
            if self._timer is None:
                self._look()
        try:
            yield left
        finally:
            self._watched.pop(left, None)
            left.cancel()

    def _look(self) -> None:
        self._timer = None
        for left, transport in list(self._watched.items()):
            if transport.is_closing():
                del self._watched[left]
                if not left.done():
                    left.set_result(None)
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._look)
