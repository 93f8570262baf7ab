"""The same service on both frameworks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web
from fastapi import FastAPI, Request, Response

from deepseek_async import AsyncDeepSeek
from deepseek_async.integrations.web import ResumableAnswers
from deepseek_async.integrations.web import aiohttp as aiohttp_edge
from deepseek_async.integrations.web import starlette as starlette_edge
from deepseek_async.simulator import Simulator

App = FastAPI | web.Application


class Site(NamedTuple):
    """A service that runs."""

    session: aiohttp.ClientSession
    url: str

    def get(self, path: str, last_event_id: str | None = None) -> Any:
        """``async with site.get("/answer") as page``."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        return self.session.get(self.url + path, headers=headers)


RunService = Callable[[App], Awaitable[Site]]
Simulate = Callable[..., Awaitable[tuple[Simulator, AsyncDeepSeek]]]

EDGES = ("fastapi", "aiohttp")


def service(
    edge: str,
    source: Callable[[], Any],
    dialect: Any = "text",
    *,
    resumable: ResumableAnswers | None = None,
    plain: Callable[[], Awaitable[Any]] | None = None,
    **options: Any,
) -> App:
    """GET /answer relays ``source()``; GET and DELETE /answer/ID resume and stop; GET /plain returns ``plain()``."""
    options["resumable"] = resumable
    return (_fastapi if edge == "fastapi" else _aiohttp)(source, dialect, resumable, plain, options)


def _fastapi(source: Any, dialect: Any, resumable: Any, plain: Any, options: dict[str, Any]) -> FastAPI:
    app = FastAPI()
    starlette_edge.install_error_handlers(app)

    @app.get("/answer")
    async def answer(request: Request) -> Any:
        return starlette_edge.relay(source(), request, dialect, **options)

    @app.get("/answer/{answer_id}")
    async def resume(request: Request, answer_id: str) -> Any:
        return starlette_edge.resume(request, resumable, answer_id)

    @app.delete("/answer/{answer_id}")
    async def stop(answer_id: str) -> Response:
        return Response(status_code=204 if await resumable.stop(answer_id) else 404)

    @app.get("/plain")
    async def whole() -> Any:
        return await plain()

    return app


def _aiohttp(source: Any, dialect: Any, resumable: Any, plain: Any, options: dict[str, Any]) -> web.Application:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await aiohttp_edge.relay(source(), request, dialect, **options)

    async def resume(request: web.Request) -> web.StreamResponse:
        return await aiohttp_edge.resume(request, resumable, request.match_info["answer_id"])

    async def stop(request: web.Request) -> web.Response:
        return web.Response(status=204 if await resumable.stop(request.match_info["answer_id"]) else 404)

    async def whole(request: web.Request) -> Any:
        return await plain()

    app = web.Application()
    aiohttp_edge.install_error_handlers(app)
    app.router.add_get("/answer", answer)
    app.router.add_get("/answer/{answer_id}", resume)
    app.router.add_delete("/answer/{answer_id}", stop)
    app.router.add_get("/plain", whole)
    return app
