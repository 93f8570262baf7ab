"""Requests charged other than by tokens, from limits to billing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from deepseek_async.simulator.conversation import converse
from deepseek_async.simulator.services import speech
from deepseek_async.simulator.services.request import Charged, WrongRequestError
from deepseek_async.simulator.wire import refusals

if TYPE_CHECKING:
    from aiohttp import web

    from deepseek_async.simulator.exchange import ServedRequest
    from deepseek_async.simulator.fees import Fees
    from deepseek_async.simulator.http_replies import Replies
    from deepseek_async.simulator.responses import Responses
    from deepseek_async.simulator.settings import SimulatorSettings


class PerUnitBilling:
    """Serves them; a client that disconnects early is billed nevertheless."""

    def __init__(self, settings: SimulatorSettings, fees: Fees, replies: Replies, responses: Responses) -> None:
        self._settings = settings
        self._fees = fees
        self._replies = replies
        self._responses = responses

    async def serve(self, exchange: ServedRequest, outcome: Charged) -> web.StreamResponse:
        """Return a JSON object and charge for it."""
        refusal = self._fees.refusal(exchange)
        if refusal is not None:
            return self._replies.refuse(exchange.record, refusal)
        with self._fees.worked_on(exchange, outcome.fees, self._responses.next_id()):
            if self._settings.latency:
                await asyncio.sleep(self._settings.latency)
            if self._settings.queue_seconds:
                return await self._replies.deliver(exchange, [orjson.dumps(outcome.body)], stream=False)
            return await self._replies.plain(exchange, outcome.body)

    async def speak(self, exchange: ServedRequest) -> web.StreamResponse:
        """Stream audio over HTTP."""
        body = await exchange.json()
        if isinstance(body, refusals.Refusal):
            return self._replies.refuse(exchange.record, body)
        try:
            said, form = speech.asked(body if isinstance(body, dict) else {})
        except WrongRequestError as wrong:
            return self._replies.refuse(exchange.record, wrong.refusal)
        refusal = self._fees.refusal(exchange)
        if refusal is not None:
            return self._replies.refuse(exchange.record, refusal)
        frames = [*([speech.header()] if form == "wav" else []), *speech.audio(said)]
        fees = {"speech_characters": speech.billed(said)}
        with self._fees.worked_on(exchange, fees, self._responses.next_id()):
            if self._settings.latency:
                await asyncio.sleep(self._settings.latency)
            kind = "audio/wav" if form == "wav" else "audio/pcm"
            return await self._replies.deliver(exchange, frames, stream=True, content_type=kind)

    async def converse(self, exchange: ServedRequest) -> web.StreamResponse:
        """Stream audio over a WebSocket."""
        refusal = self._fees.refusal(exchange)
        if refusal is not None:
            return self._replies.refuse(exchange.record, refusal)
        try:
            speech.asked_by_socket(exchange.request.query)
        except WrongRequestError as wrong:
            return self._replies.refuse(exchange.record, wrong.refusal)
        fees: dict[str, int] = {}
        with self._fees.worked_on(exchange, fees, self._responses.next_id()):
            self._replies.answered(exchange.record, 101)
            return await converse(exchange, fees, finishes=self._settings.speech_finishes)
