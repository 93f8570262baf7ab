"""Requests that go on to DeepSeek: read, sent through the client, and answered as the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

from aiohttp import StreamReader, web

from deepseek_async.errors import DeepSeekError
from deepseek_async.gateway.arrival import arriving
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.header_policy import forwarded, returned
from deepseek_async.gateway.permissions import check_body, check_path
from deepseek_async.gateway.replies import GatewayError
from deepseek_async.gateway.tenants import Tenants
from deepseek_async.relay import SPEECH, Relay, RelayRequest, RelayResponse, StreamedBody, failure_event, refusal_of
from deepseek_async.text.redaction import mask_in
from deepseek_async.types.json_text import read, write

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request; pictures travel in it as base64."""

HEARTBEAT: Final = 10.0
"""Seconds of silence after which a caller that waits for a stream gets a comment, as DeepSeek does it itself."""

READER_PATIENCE: Final = 120.0
"""Seconds for which a caller may read nothing of an answer; its place is given to others then."""

_SHORT: Final = 32 * 1024
"""Half of the 64 KiB at which transports pause writing by default."""

UsedRelay = Callable[[], AbstractContextManager[Relay]]
"""Yields the relay of the client that sends now, and keeps it open for the block."""

_COMMENT: Final = b": keep-alive\n\n"
_ANTHROPIC: Final = "/anthropic/"
_STREAMED: Final[Mapping[str, str]] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}


class Relaying:
    """Handler of all requests that are not the gateway's own."""

    def __init__(self, used: UsedRelay, tenants: Tenants, files: FileStore, *, heartbeat: float = HEARTBEAT) -> None:
        self._used = used
        self._tenants = tenants
        self._files = files
        self._heartbeat = heartbeat

    async def answer(self, request: web.BaseRequest, caller: CallerProfile, path: str) -> web.StreamResponse:
        """Answer a request. Raises GatewayError for one that its caller may not make."""
        check_path(request.method, path, caller)
        body = await body_of(request, LARGEST_BODY)
        check_body(body, caller, self._files)
        query = request.query_string
        asked = RelayRequest(
            method=request.method,
            path=f"{path}?{query}" if query else path,
            body=body,
            content_type=request.headers.get("Content-Type", "application/json"),
            headers=forwarded(request.headers.items()),
        )
        with self._used() as relay:
            async with self._tenants.place(caller):
                if path.endswith(SPEECH) and request.method == "POST":
                    return await _spoken(relay, request, asked)
                if not _asks_for_a_stream(body):
                    return await _whole(relay, asked)
                return await self._streamed(relay, request, asked, path)

    async def _streamed(
        self, relay: Relay, request: web.BaseRequest, asked: RelayRequest, path: str
    ) -> web.StreamResponse:
        sending = asyncio.ensure_future(relay.send(asked))
        response = web.StreamResponse(headers=_STREAMED)
        try:
            while not (await asyncio.wait((sending,), timeout=self._heartbeat))[0]:
                # From here on the status is 200, whatever comes: the caller would hang up on silence.
                if not response.prepared:
                    await response.prepare(request)
                await _write(request, response, _COMMENT)
            try:
                answered = sending.result()
            except DeepSeekError as error:
                if not response.prepared:
                    raise
                await _write(request, response, failure(error, path))
                await response.write_eof()
                return response
        except BaseException:
            await _cancelled(sending)
            raise
        if isinstance(answered.body, bytes):
            return web.Response(body=mask_in(answered.body), status=answered.status, headers=returned(answered.headers))
        async with _closing(answered.body):
            if not response.prepared:
                response.headers.update(returned(answered.headers))
                await response.prepare(request)
            await _pass(answered.body, request, response, path)
        return response


async def _pass(body: StreamedBody, request: web.BaseRequest, response: web.StreamResponse, path: str) -> None:
    try:
        async for piece in body:
            await _write(request, response, piece)
    except DeepSeekError as error:
        await _write(request, response, failure(error, path))
    await response.write_eof()


async def _spoken(relay: Relay, request: web.BaseRequest, asked: RelayRequest) -> web.StreamResponse:
    answered = await relay.send(asked)
    assert isinstance(answered.body, StreamedBody)  # noqa: S101  audio is streamed
    response = web.StreamResponse(headers=returned(answered.headers))
    async with _closing(answered.body):
        await response.prepare(request)
        try:
            async for piece in answered.body:
                await _write(request, response, piece)
        except DeepSeekError as error:
            # Audio has no place for an error: the caller sees a body that has not ended.
            raise ConnectionResetError(error.message) from None
    await response.write_eof()
    return response


async def _whole(relay: Relay, asked: RelayRequest) -> web.StreamResponse:
    answered = await relay.send(asked)
    assert isinstance(answered.body, bytes)  # noqa: S101  only a request for a stream is answered by one
    return web.Response(body=mask_in(answered.body), status=answered.status, headers=returned(answered.headers))


async def body_of(request: web.BaseRequest, most: int) -> bytes:
    """Return the body of a request. Raises GatewayError (413) above ``most`` bytes."""
    if request.content_length is not None and request.content_length > most:
        raise _too_large(most)
    if request.content.is_eof():
        return await _read(request.content, most)
    async with arriving(request):
        return await _read(request.content, most)


async def _read(content: StreamReader, most: int) -> bytes:
    pieces, size = [], 0
    while piece := await content.readany():
        size += len(piece)
        if size > most:
            raise _too_large(most)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def refusal_reply(error: DeepSeekError, path: str) -> web.Response:
    """Return ``error`` as the answer to a request for ``path``."""
    answered = refusal(error, path)
    assert isinstance(answered.body, bytes)  # noqa: S101
    return web.Response(body=mask_in(answered.body), status=answered.status, headers=returned(answered.headers))


def refusal(error: DeepSeekError, path: str) -> RelayResponse:
    """Return the response that stands for ``error`` in the protocol of ``path``."""
    response = refusal_of(error)
    if not path.startswith(_ANTHROPIC):
        return response
    assert isinstance(response.body, bytes)  # noqa: S101
    return RelayResponse(
        status=response.status, headers=response.headers, body=_as_anthropic(read(response.body)), failure=error
    )


def failure(error: DeepSeekError, path: str) -> bytes:
    """Return ``error`` as the last event of a stream, in the protocol of ``path``."""
    if not path.startswith(_ANTHROPIC):
        return failure_event(error)
    body = refusal(error, path).body
    assert isinstance(body, bytes)  # noqa: S101
    return b"event: error\ndata: " + body + b"\n\n"


def _as_anthropic(said: Any) -> bytes:
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        error = {"message": str(error)}
    if isinstance(said, dict) and said.get("type") == "error":
        return write(said)
    return write({"type": "error", "error": {"type": error.get("type") or "api_error", **error}})


def _too_large(most: int) -> GatewayError:
    return GatewayError(413, f"the body must have at most {most:,} bytes", code="request_too_large")


def _asks_for_a_stream(body: bytes) -> bool:
    """Whether a request may be for a stream; whether it is, the relay reads itself."""
    return b'"stream"' in body and b"true" in body


async def _write(request: web.BaseRequest, response: web.StreamResponse, piece: bytes) -> None:
    """Write to a caller, at its speed. Raises ConnectionError for one that reads nothing for too long."""
    piece = mask_in(piece)
    transport = request.transport
    if transport is not None and len(piece) < _SHORT and not transport.get_write_buffer_size():
        # It is not waited for: nothing is unsent, and this is less than what a transport takes before it pauses
        # writing. A timer for each chunk would cost more than its write.
        await response.write(piece)
        return
    async with asyncio.timeout(READER_PATIENCE):
        await response.write(piece)


async def _cancelled(sending: asyncio.Future[RelayResponse]) -> None:
    """End a request whose caller has left, and give its place back."""
    sending.cancel()
    await asyncio.wait((sending,))
    if not sending.cancelled() and sending.exception() is None:
        body = sending.result().body
        if isinstance(body, StreamedBody):
            await body.aclose()


@asynccontextmanager
async def _closing(body: StreamedBody) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await body.aclose()
