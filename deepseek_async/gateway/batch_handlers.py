"""``/v1/batches``: create, retrieve, list, cancel."""

from __future__ import annotations

import time
from typing import Final

import orjson
from aiohttp import web

from deepseek_async.gateway.arrival import arriving
from deepseek_async.gateway.batches.record import BatchRecord, InvalidBatchError, new_record
from deepseek_async.gateway.batches.runner import BatchRunner
from deepseek_async.gateway.file_handlers import page
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.replies import GatewayError, json_reply, not_found, told_of_the_disk

ENDPOINTS: Final = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")
"""Endpoints that a batch can be for."""

_LARGEST_BODY: Final = 1 << 20


class BatchHandlers:
    """Handlers of requests for batches. A caller sees its own."""

    def __init__(self, runner: BatchRunner, files: FileStore) -> None:
        self._runner = runner
        self._files = files

    async def create(self, request: web.BaseRequest, owner: str) -> web.Response:
        """``POST /v1/batches``."""
        try:
            record = new_record(await _json_of(request), owner, time.time(), ENDPOINTS)
        except InvalidBatchError as error:
            raise GatewayError(400, str(error), code="invalid_value", param=error.param) from None
        given = self._files.find(record.input_file_id, owner)
        if given is None:
            raise GatewayError(
                400, f"No such File object: {record.input_file_id!r:.80}", code="invalid_value", param="input_file_id"
            )
        if given.purpose != "batch" or given.elsewhere:
            raise GatewayError(
                400, f"the purpose of the input file must be 'batch', got {given.purpose!r}", param="input_file_id"
            )
        with told_of_the_disk():
            await self._runner.add(record)
        return json_reply(record.shown())

    async def list(self, request: web.BaseRequest, owner: str) -> web.Response:
        """``GET /v1/batches?after=&limit=``."""
        found = [record.shown() for record in self._runner.of(owner)]
        return json_reply(page(found, request, most=100, default=20))

    async def retrieve(self, batch_id: str, owner: str) -> web.Response:
        """``GET /v1/batches/{id}``."""
        return json_reply(self._named(batch_id, owner).shown())

    async def cancel(self, batch_id: str, owner: str) -> web.Response:
        """``POST /v1/batches/{id}/cancel``."""
        record = self._named(batch_id, owner)
        if not await self._runner.cancel(record):
            raise GatewayError(
                409, f"cannot cancel a batch with status '{record.status}'", code="batch_not_cancellable"
            )
        return json_reply(record.shown())

    def _named(self, batch_id: str, owner: str) -> BatchRecord:
        record = self._runner.find(batch_id, owner)
        if record is None:
            raise not_found("batch", batch_id)
        return record


async def _json_of(request: web.BaseRequest) -> object:
    async with arriving(request):
        body = await request.content.read(_LARGEST_BODY + 1)
        while len(body) <= _LARGEST_BODY and not request.content.at_eof():
            body += await request.content.read(_LARGEST_BODY + 1 - len(body))
    if len(body) > _LARGEST_BODY:
        raise GatewayError(413, f"the body must have at most {_LARGEST_BODY:,} bytes")
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise GatewayError(400, f"the body is not valid JSON: {error}") from None
    return parsed
