"""Uploads: a document is parsed, stored and billed whether or not the client waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from deepseek_async.simulator.faults import OF_UPLOADS, FaultKind
from deepseek_async.simulator.services.request import Unparsed
from deepseek_async.simulator.wire.delivery import StreamEnding, end_connection

if TYPE_CHECKING:
    from deepseek_async.simulator.exchange import ServedRequest
    from deepseek_async.simulator.fees import Fees
    from deepseek_async.simulator.http_replies import Replies
    from deepseek_async.simulator.services.dispatch import ServiceDispatcher
    from deepseek_async.simulator.settings import SimulatorSettings


class Uploads:
    """Receives documents and parses them to the end."""

    def __init__(self, settings: SimulatorSettings, services: ServiceDispatcher, fees: Fees, replies: Replies) -> None:
        self._settings = settings
        self._services = services
        self._fees = fees
        self._replies = replies
        self._under_way: set[asyncio.TimerHandle] = set()

    def close(self) -> None:
        """Stop parsing."""
        for timer in self._under_way:
            timer.cancel()
        self._under_way.clear()

    async def broke_off(self, exchange: ServedRequest) -> bool:
        """Whether the fault cut the connection before the end of the body."""
        fault = exchange.fault
        if fault is None or fault.kind is not FaultKind.CUT_IN_UPLOAD:
            return False
        whole = exchange.request.content_length or 0
        left = min(fault.after_bytes, max(0, whole - 1))
        while left > 0 and (piece := await exchange.request.content.read(left)):
            left -= len(piece)
        return _cut(exchange)

    async def serve(self, exchange: ServedRequest, unparsed: Unparsed, now: Callable[[], float]) -> web.StreamResponse:
        """Process a completely received document."""
        refusal = self._fees.refusal(exchange)
        if refusal is not None:
            return self._replies.refuse(exchange.record, refusal)
        fault = exchange.fault
        kind = None if fault is None else fault.kind
        parsed = self._parse(exchange, unparsed, now)
        if fault is not None and kind is FaultKind.CUT_IN_PARSING:
            await asyncio.wait({parsed}, timeout=fault.seconds or 0.0)
            _cut(exchange)
            return web.Response()
        await asyncio.shield(parsed)
        if kind is FaultKind.CUT_AFTER_PARSING:
            _cut(exchange)
            return web.Response()
        exchange.fault = None if kind in OF_UPLOADS else fault
        return await self._replies.plain(exchange, unparsed.described)

    def _parse(self, exchange: ServedRequest, unparsed: Unparsed, now: Callable[[], float]) -> asyncio.Future[None]:
        """Start parsing; the future is done once the document is stored."""
        loop = asyncio.get_running_loop()
        parsed = loop.create_future()

        def store() -> None:
            self._under_way.discard(timer)
            self._store(exchange, unparsed, int(now()))
            parsed.set_result(None)

        timer = loop.call_later(self._settings.parse_seconds, store)
        self._under_way.add(timer)
        return parsed

    def _store(self, exchange: ServedRequest, unparsed: Unparsed, now: int) -> None:
        described = unparsed.described
        if "expires_at" in described:
            described["expires_at"] += now - described["created_at"]
        described["created_at"] = now
        self._services.files.store(exchange.account, described, unparsed.content)
        self._fees.bill(exchange, {"page": unparsed.pages}, described["id"])


def _cut(exchange: ServedRequest) -> bool:
    end_connection(exchange.request.transport, StreamEnding.RESET)
    return True
