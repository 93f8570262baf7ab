"""One request in progress, and reading of its body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import BodyPartReader, web

from deepseek_async.simulator.services.request import Upload
from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.delivery import NO_REVIEW, Delivery, Review
from deepseek_async.simulator.wire.refusals import Refusal

if TYPE_CHECKING:
    from deepseek_async.simulator.faults import Fault
    from deepseek_async.simulator.request_log import RequestRecord
    from deepseek_async.simulator.routing import SimulatorRoute


@dataclass(slots=True)
class ServedRequest:
    """A request, its route, and the state collected while serving it."""

    request: web.BaseRequest
    record: RequestRecord
    route: SimulatorRoute
    fault: Fault | None = None
    account: str = ""
    most_bytes: int = 0  # maximum bytes of a form
    delivery: Delivery = field(default_factory=Delivery)
    review: Review = NO_REVIEW

    @property
    def authorization(self) -> str | None:
        """Authorization header; Anthropic's `x-api-key` is used if it is absent."""
        headers = self.request.headers
        said = headers.get("Authorization")
        key = headers.get("X-Api-Key") if self.route.name == "message" else None
        return f"Bearer {key}" if not said and key else said

    def account_refusal(self, keys: frozenset[str] | None) -> Refusal | None:
        """Set the account, or return the error for an API key not in `keys` (None accepts any)."""
        authorization = self.authorization
        if not authorization:
            return refusals.missing_authorization()
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key or (keys is not None and key not in keys):
            return refusals.wrong_key(key)
        self.account = key
        return None

    async def json(self) -> Any:
        """Return the parsed body, or the error for an invalid one."""
        if self.request.content_type != "application/json":
            return refusals.unsupported_media_type()
        try:
            raw = await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            return refusals.too_large()
        try:
            self.record.body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            reason = "EOF while parsing a value" if error.pos >= len(raw) else "expected value"
            return refusals.unparsable(f"{reason} at line {error.lineno} column {error.colno - (not raw)}")
        return self.record.body

    async def upload(self) -> Upload | Refusal | None:
        """Return the file of a form; None if this is not a form or has no file."""
        request = self.request
        if request.content_type != "multipart/form-data":
            return None
        if (request.content_length or 0) > self.most_bytes:
            return refusals.too_large()
        parts: dict[str, str] = {}
        file: tuple[str, bytes] | None = None
        try:
            # Not `post()`, which leaks temporary files when the client disconnects.
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    return None
                content = bytes(await part.read())
                parts[part.name or ""] = "" if part.filename else content.decode("utf-8", "replace")
                if part.name == "file" and part.filename is not None:
                    file = part.filename, content
        except (ValueError, AssertionError):  # missing boundary, or malformed parts
            return None
        if file is None:
            return None
        return Upload(
            filename=file[0],
            content=file[1],
            purpose=parts.get("purpose", ""),
            fields=tuple(parts),
            values=parts,
        )

    async def note_body(self) -> None:
        """Record the body even if a fault is returned without parsing it."""
        try:
            self.record.body = orjson.loads(await self.request.read())
        except (orjson.JSONDecodeError, web.HTTPRequestEntityTooLarge):
            self.record.body = None
