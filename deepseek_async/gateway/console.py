"""The gateway's own pages, and the figures that they show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from math import inf
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from deepseek_async.admission.statistics import ModelStatistics
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.gateway.activity import Activity
from deepseek_async.gateway.batches.record import BatchRecord
from deepseek_async.gateway.batches.runner import BatchRunner
from deepseek_async.gateway.callers import CallerProfile, mask_keys
from deepseek_async.gateway.replies import GatewayError, json_reply
from deepseek_async.types.usage import SentUsage

_ASSETS: Final = ("style.css", "session.js", "console.js", "chat.js", "answer.js", "markdown.js")
_PAGES: Final = {"/": "console.html", "/chat": "chat.html", **{f"/pages/{name}": name for name in _ASSETS}}
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_SECURITY: Final = {
    # Nothing from elsewhere, and no script in the page: what an answer or a name says cannot become one.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_INTERVAL: Final = 1.0
"""Seconds between two snapshots for one reader; readers that may see the same share them."""
_MOST_SHOWN: Final = 50
"""Batches and models of a snapshot, so that its size is bounded."""
_MOST_WORDS: Final = 4
_LONGEST_TEXT: Final = 100
"""Characters of what callers name."""
_LONGEST_SENTENCE: Final = 300


def page_at(method: str, path: str) -> web.Response | None:
    """Return the page or asset at ``path``. They hold no data, so they are for everybody."""
    name = _PAGES.get(path)
    if name is None or method not in {"GET", "HEAD"}:
        return None
    content_type = _TYPES[name.rpartition(".")[2]]
    return web.Response(body=_content(name), headers=_SECURITY, content_type=content_type, charset="utf-8")


@cache
def _content(name: str) -> bytes:
    return (files("deepseek_async.gateway") / "pages" / name).read_bytes()


class Console:
    """Figures of the running gateway.

    ``caller_of`` tells who asks, and ``closing`` is set when the gateway is about to end.
    """

    def __init__(
        self,
        client: Callable[[], AsyncDeepSeek],
        activity: Activity,
        batches: BatchRunner,
        *,
        caller_of: Callable[[web.BaseRequest], CallerProfile],
        closing: asyncio.Event,
    ) -> None:
        self._caller_of = caller_of
        self._client = client
        self._closing = closing
        self._activity = activity
        self._batches = batches
        self._written: dict[str | None, tuple[float, bytes]] = {}
        """The last snapshots, by whose they are, with their times on the loop's clock."""

    async def events(self, request: web.BaseRequest, caller: CallerProfile) -> web.StreamResponse:
        """``GET /console/events``: the figures each second, as server-sent events.

        They end when the gateway is about to end, which would wait for them, and when the caller's key is revoked.
        """
        response = web.StreamResponse(headers={**_SECURITY, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(GatewayError, ConnectionError):
            while not self._closing.is_set():
                await response.write(self._snapshot(caller))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _INTERVAL)
                caller = self._caller_of(request)
        with suppress(ConnectionError):
            await response.write_eof()
        return response

    def _snapshot(self, caller: CallerProfile) -> bytes:
        own = None if caller.sees_all else caller.name
        now = asyncio.get_running_loop().time()
        made, written = self._written.get(own, (-inf, b""))
        if now - made >= _INTERVAL / 2:
            self._written = {name: kept for name, kept in self._written.items() if now - kept[0] < _INTERVAL}
            shown = mask_keys(orjson.dumps(self.figures(caller)).decode())  # models are names that callers send
            written = f"data: {shown}\n\n".encode()
            self._written[own] = now, written
        return written

    def figures(self, caller: CallerProfile) -> dict[str, Any]:
        """Return the figures, few whatever happens; a caller that is no operator sees its own, and who queues."""
        client = self._client()
        statistics, snapshot = client.statistics(), client.snapshot()
        own = None if caller.sees_all else caller.name
        return {
            "in_flight": statistics.in_flight,
            "queued": statistics.queued,
            "stopped_by": statistics.stopped_by,
            "budget": snapshot.budget,
            "budget_remaining": snapshot.budget_remaining,
            "models": [
                {
                    "model": each.model[:_LONGEST_TEXT],
                    "in_flight": each.in_flight,
                    "limit": each.window.size,
                    "queued": each.queued,
                    "state": "circuit open" if each.breaker == "open" else each.window.mode,
                }
                for each in _busiest([each for each in statistics.models if each.model])
            ],
            "activity": self._activity.shown(own),
            "batches": [_shown(record) for record in self._batches.of(own)[:_MOST_SHOWN]],
        }

    def cost(self, request: web.BaseRequest) -> web.Response:
        """``GET /console/cost?model=&usage=``: the price of a usage, in US dollars."""
        try:
            sent = msgspec.json.decode(request.query.get("usage", ""), type=SentUsage)
        except msgspec.DecodeError:
            raise GatewayError(400, "usage must be the usage of an answer, as JSON", param="usage") from None
        cost = self._client().prices.cost(sent.read(), request.query.get("model", ""), time.time())
        return json_reply({"cost": cost})


def _busiest(models: list[ModelStatistics]) -> list[ModelStatistics]:
    """Return a bounded number of ``models``, in their order."""
    if len(models) <= _MOST_SHOWN:
        return models
    least = sorted((each.in_flight + each.queued for each in models), reverse=True)[_MOST_SHOWN]
    busy = [each for each in models if each.in_flight + each.queued > least]
    return busy or models[:_MOST_SHOWN]


def _shown(record: BatchRecord) -> dict[str, Any]:
    error = record.errors[0] if record.errors else None
    words = list((record.metadata or {}).items())[:_MOST_WORDS]
    return {
        "id": record.id,
        "owner": record.owner,
        "status": record.status,
        "waiting_for": record.waiting_for and record.waiting_for[:_LONGEST_SENTENCE],
        "error": None if error is None else {"line": error.line, "message": error.message[:_LONGEST_SENTENCE]},
        "metadata": {key: value[:_LONGEST_TEXT] for key, value in words},
        "request_counts": msgspec.to_builtins(record.counts),
        "cost": record.cost,
    }
