"""``/v1/files``: batch inputs and outputs on the gateway; other uploads go on to DeepSeek."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from deepseek_async.gateway.batches.record import InvalidBatchError, lifetime
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.gateway.files import FileRecord, FileStore, Order
from deepseek_async.gateway.replies import GatewayError, json_reply, not_found, told_of_the_disk
from deepseek_async.gateway.sending import Sending
from deepseek_async.gateway.upload_form import read_form

LARGEST_FILE: Final = 200 * 1024 * 1024
"""Bytes: the limit of OpenAI's batch inputs, above DeepSeek's for documents (100 MiB)."""

_OURS: Final = frozenset({"batch", "batch_output"})
_NAME: Final = re.compile(r"[^\x20-\x7e]|[\"\\]")


class FileHandlers:
    """Handlers of requests for files. A caller sees those that it uploaded, and the outputs of its batches."""

    def __init__(self, files: FileStore, sending: Sending, needed: Callable[[], Container[str]]) -> None:
        """``needed`` returns the ids of files that batches still read."""
        self._files = files
        self._sending = sending
        self._needed = needed

    async def create(self, request: web.BaseRequest, caller: CallerProfile) -> web.Response:
        """``POST /v1/files``, a form with ``purpose`` and ``file``."""
        path = self._files.new_path()
        try:
            with told_of_the_disk():
                fields, filename = await read_form(request, path, LARGEST_FILE)
                return json_reply(await self._keep(fields, filename, path, caller))
        finally:
            with suppress(OSError):
                path.unlink()

    async def _keep(self, fields: dict[str, str], filename: str, path: Path, caller: CallerProfile) -> dict[str, Any]:
        purpose = fields.get("purpose")
        if not purpose:
            raise GatewayError(400, "purpose is required", param="purpose")
        if purpose == "batch_output":
            raise GatewayError(400, "purpose 'batch_output' is for outputs of batches only", param="purpose")
        expires = {
            name.removeprefix("expires_after[").removesuffix("]"): value
            for name, value in fields.items()
            if name.startswith("expires_after[")
        }
        if purpose == "batch":
            try:
                seconds = lifetime(expires or None, "expires_after")
            except InvalidBatchError as error:
                raise GatewayError(400, str(error), param=error.param) from None
            added = await self._files.add(path, filename=filename, purpose=purpose, owner=caller.name, lifetime=seconds)
            return added.shown()
        after = {**expires, "seconds": int(expires["seconds"])} if expires.get("seconds", "").isdecimal() else expires
        async with self._sending(caller) as client:
            made = await client.files.create(file=(filename, path), purpose=purpose, expires_after=after or None)
        await self._files.note_elsewhere(
            FileRecord(
                id=made.id,
                bytes=made.bytes,
                created_at=made.created_at,
                filename=made.filename,
                purpose=purpose,
                owner=caller.name,
                expires_at=made.expires_at,
                elsewhere=True,
            )
        )
        return cast("dict[str, Any]", msgspec.json.decode(made.to_json()))

    async def list(self, request: web.BaseRequest, owner: str) -> web.Response:
        """``GET /v1/files?purpose=&order=&after=&limit=``."""
        query = request.query
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise GatewayError(400, f"order must be 'asc' or 'desc', got {order!r:.40}", param="order")
        found = self._files.of(owner, purpose=query.get("purpose"), order=cast("Order", order))
        return json_reply(page([record.shown() for record in found], request, most=10_000, default=10_000))

    async def retrieve(self, file_id: str, owner: str) -> web.Response:
        """``GET /v1/files/{id}``."""
        return json_reply(self._named(file_id, owner).shown())

    async def content(self, file_id: str, owner: str) -> web.StreamResponse:
        """``GET /v1/files/{id}/content``."""
        record = self._named(file_id, owner)
        if record.elsewhere:
            raise GatewayError(400, "DeepSeek does not return the content of files", param="id")
        name = _NAME.sub("_", record.filename)
        return web.FileResponse(
            self._files.path(record.id),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def delete(self, file_id: str, caller: CallerProfile) -> web.Response:
        """``DELETE /v1/files/{id}``."""
        record = self._named(file_id, caller.name)
        if record.id in self._needed():
            raise GatewayError(
                409,
                f"{record.id} is the input of a batch that has not ended: cancel the batch first",
                code="file_in_use",
            )
        if record.elsewhere:
            async with self._sending(caller) as client:
                await client.files.delete(record.id)
            record = self._named(file_id, caller.name)  # another request may have removed it meanwhile
        await self._files.remove(record.id)
        return json_reply({"id": record.id, "object": "file", "deleted": True})

    def _named(self, file_id: str, owner: str) -> FileRecord:
        record = self._files.find(file_id, owner)
        if record is None:
            raise not_found("File object", file_id)
        return record


def page(found: list[dict[str, Any]], request: web.BaseRequest, *, most: int, default: int) -> dict[str, Any]:
    """Return a page of a list as OpenAI's API does: ``after`` is the id before it, ``limit`` its length."""
    given = request.query.get("limit", str(default))
    if not (given.isascii() and given.isdecimal()) or not 1 <= int(given) <= most:
        raise GatewayError(400, f"limit must be from 1 to {most}, got {given!r:.40}", param="limit")
    limit, after = int(given), request.query.get("after")
    if after:
        places = [place for place, each in enumerate(found) if each["id"] == after]
        if not places:
            raise GatewayError(400, f"after names no object of this list: {after!r:.80}", param="after")
        found = found[places[0] + 1 :]
    shown = found[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(found) > limit,
    }
