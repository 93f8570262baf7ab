"""Which handler answers a request: files and batches here, health and metrics, pages, and all else goes on.

A plain table instead of a router with patterns: every relayed request passes here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from aiohttp import web

from deepseek_async.gateway.batch_handlers import BatchHandlers
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.gateway.console import Console
from deepseek_async.gateway.file_handlers import FileHandlers
from deepseek_async.gateway.replies import GatewayError
from deepseek_async.gateway.tool_uploads import ToolUploads

Answering = Coroutine[Any, Any, web.StreamResponse]
Relay = Callable[[web.BaseRequest, CallerProfile, str], Awaitable[web.StreamResponse]]

_VERSION: Final = "/v1"
_KEPT: Final = ("/files", "/batches")
"""Paths, with or without ``/v1``, of what is kept here."""


class Routes:
    """Finds the handler for a path."""

    def __init__(
        self, *, files: FileHandlers, batches: BatchHandlers, console: Console, uploads: ToolUploads, relay: Relay
    ) -> None:
        self._console = console
        self._files = files
        self._batches = batches
        self._uploads = uploads
        self._relay = relay

    async def answer(self, request: web.BaseRequest, caller: CallerProfile) -> web.StreamResponse:
        """Answer a request of ``caller``. Raises GatewayError."""
        path = request.path
        bare = path.removeprefix(_VERSION)
        if bare.startswith(_KEPT):
            kind, *rest = bare.rstrip("/").split("/")[1:]
            found = {"files": self._file, "batches": self._batch}.get(kind)
            answering = None if found is None else found(request, rest, caller)
            if answering is None:
                raise GatewayError(404, f"no such endpoint: {request.method} {path!r:.200}", code="unknown_url")
            return await answering
        if path == "/console/events":
            return await self._console.events(request, caller)
        if path == "/console/cost":
            return self._console.cost(request)
        if self._uploads.takes(request, path):
            return await self._uploads.answer(request, caller, path)
        return await self._relay(request, caller, path)

    def _file(self, request: web.BaseRequest, rest: list[str], caller: CallerProfile) -> Answering | None:
        match request.method, rest:
            case "POST", []:
                return self._files.create(request, caller)
            case "GET", []:
                return self._files.list(request, caller.name)
            case "GET", [file_id]:
                return self._files.retrieve(file_id, caller.name)
            case "GET", [file_id, "content"]:
                return self._files.content(file_id, caller.name)
            case "DELETE", [file_id]:
                return self._files.delete(file_id, caller)
        return None

    def _batch(self, request: web.BaseRequest, rest: list[str], caller: CallerProfile) -> Answering | None:
        match request.method, rest:
            case "POST", []:
                return self._batches.create(request, caller.name)
            case "GET", []:
                return self._batches.list(request, caller.name)
            case "GET", [batch_id]:
                return self._batches.retrieve(batch_id, caller.name)
            case "POST", [batch_id, "cancel"]:
                return self._batches.cancel(batch_id, caller.name)
        return None
