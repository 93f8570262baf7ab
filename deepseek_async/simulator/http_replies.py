"""Replies and their accounting: whole, refused, or incremental."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.delivery import DeliveryTiming, deliver, plan, sliced
from deepseek_async.simulator.wire.refusals import JSON, Refusal

if TYPE_CHECKING:
    from aiohttp import web

    from deepseek_async.simulator.exchange import ServedRequest
    from deepseek_async.simulator.request_log import Counters, RequestRecord
    from deepseek_async.simulator.responses import Responses

_OK = 200


class Replies:
    """Sends every reply, so that all are counted."""

    def __init__(
        self, responses: Responses, counters: Counters, timing: DeliveryTiming, *, anthropic_errors: bool
    ) -> None:
        self._responses = responses
        self._counters = counters
        self._timing = timing
        self._anthropic_errors = anthropic_errors

    def whole(self, exchange: ServedRequest, body: bytes, content_type: str = JSON) -> web.Response:
        self.answered(exchange.record, _OK)
        self._counters.served += 1
        return self._responses.whole(body, content_type)

    def refuse(self, record: RequestRecord, refusal: Refusal) -> web.Response:
        self.answered(record, refusal.status)
        self._counters.refused += 1
        if self._anthropic_errors and record.path.startswith("/anthropic/"):
            refusal = refusals.in_anthropic_form(refusal)
        return self._responses.refusing(refusal)

    async def plain(self, exchange: ServedRequest, value: Mapping[str, Any]) -> web.StreamResponse:
        """Send a JSON object, altered by the fault if there is one."""
        if exchange.fault is not None:
            return await self.deliver(exchange, [orjson.dumps(value)], stream=False)
        return self.whole(exchange, orjson.dumps(value))

    async def deliver(
        self,
        exchange: ServedRequest,
        frames: list[bytes],
        *,
        stream: bool,
        content_type: str = JSON,
    ) -> web.StreamResponse:
        """Send incrementally: the events of a `stream`, slices of a body, or generated content with its own type."""
        events = stream and content_type == JSON
        response = self._responses.streaming(events=events, content_type=content_type)
        await response.prepare(exchange.request)
        self.answered(exchange.record, _OK)
        pieces = frames if stream else sliced(b"".join(frames))
        exchange.delivery.size = sum(map(len, pieces))
        steps = plan(pieces, exchange.fault, self._timing, stream=events, review=exchange.review)
        await deliver(response, steps, exchange.request.transport, exchange.delivery)
        self._counters.served += exchange.delivery.ended
        return response

    def answered(self, record: RequestRecord, status: int) -> None:
        record.status = status
        self._counters.statuses[status] += 1
