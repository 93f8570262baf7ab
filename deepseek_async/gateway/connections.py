"""The HTTP server of a gateway, which tells at once that a connection is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web


class Connections(web.Server):
    """aiohttp's server; ``lost`` is called with a connection in the turn of the event loop in which its loss is seen.

    aiohttp cancels the request then, which runs a turn later, behind all others that were cancelled in this one.
    """

    def __init__(self, handler: Any, lost: Callable[[object], None], **options: Any) -> None:
        super().__init__(handler, handler_cancellation=True, **options)
        self._lost = lost

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp."""
        self._lost(handler)
        super().connection_lost(handler, exc)
