"""Requests that go on to DeepSeek: read, sent through the client, and answered as the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec
from aiohttp import StreamReader, web

from deepseek_async.errors import DeepSeekError
from deepseek_async.gateway.arrival import arriving
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.gateway.direct_replies import StreamedReply, WholeReply
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.header_policy import forwarded, returned
from deepseek_async.gateway.permissions import check_body, check_path
from deepseek_async.gateway.replies import GatewayError
from deepseek_async.gateway.tenants import Tenants
from deepseek_async.integrations.web import sse
from deepseek_async.relay import (
    EVENT_STREAM,
    SPEECH,
    Relay,
    RelayRequest,
    RelayResponse,
    StreamedBody,
    failure_event,
    refusal_of,
)
from deepseek_async.text.redaction import mask_in
from deepseek_async.types.json_text import read, write

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request; pictures travel in it as base64."""

HEARTBEAT: Final = 10.0
"""Seconds of silence after which a caller that waits for a stream gets a comment, as DeepSeek does it itself."""

UsedRelay = Callable[[], AbstractContextManager[Relay]]
"""Yields the relay of the client that sends now, and keeps it open for the block."""

_ANTHROPIC: Final = "/anthropic/"


class Relaying:
    """Handler of all requests that are not the gateway's own."""

    def __init__(self, used: UsedRelay, tenants: Tenants, files: FileStore, *, heartbeat: float = HEARTBEAT) -> None:
        self._used = used
        self._tenants = tenants
        self._files = files
        self._heartbeat = heartbeat
        self._open: dict[object, StreamedBody] = {}
        """Streams by the connection that they are written to."""

    def lost(self, connection: object) -> None:
        """End the request to DeepSeek whose answer was streamed to ``connection``, which is lost.

        It is reckoned up later, when the handler is cancelled: of a hundred that leave at once, the last would wait for
        the reckoning of all others.
        """
        body = self._open.get(connection)
        if body is not None:
            body.shut()

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
            headers=forwarded(request.headers),
        )
        with self._used() as relay:
            async with self._tenants.place(caller):
                if path.endswith(SPEECH) and request.method == "POST":
                    answered = await relay.send(asked)
                    return await self._passed_on(answered, request, StreamedReply(returned(answered)), path)
                if not _asks_for_a_stream(body):
                    return reply_to(await relay.send(asked))
                sending = asyncio.ensure_future(relay.send(asked))
                del body, asked  # an open stream is not to hold what was asked
                return await self._streamed(sending, request, path)

    async def _streamed(
        self, sending: asyncio.Future[RelayResponse], request: web.BaseRequest, path: str
    ) -> web.StreamResponse:
        reply = None
        try:
            while not (await asyncio.wait((sending,), timeout=self._heartbeat))[0]:
                # From here on the status is 200, whatever comes: the caller would hang up on silence.
                reply = reply or StreamedReply(sse.HEADERS)
                await reply.prepare(request)
                await reply.send(sse.HEARTBEAT)
            answered = sending.result()
        except DeepSeekError as error:
            if reply is None:
                raise
            await reply.send(failure(error, path))
            return reply
        except BaseException:
            await _cancelled(sending)
            raise
        del sending
        if reply is None and isinstance(answered.body, bytes):
            return reply_to(answered)
        return await self._passed_on(
            answered, request, reply or StreamedReply({**sse.HEADERS, **returned(answered)}), path
        )

    async def _passed_on(
        self, answered: RelayResponse, request: web.BaseRequest, reply: StreamedReply, path: str
    ) -> web.StreamResponse:
        """Send an answer as it arrives. Raises ConnectionError for a caller that has left, or reads nothing."""
        body = answered.body
        if isinstance(body, bytes):  # an answer that was not to be streamed, after comments of ours
            await reply.send(mask_in(body))
            return reply
        connection = request.protocol
        self._open[connection] = body
        try:
            await reply.prepare(request)
            async for piece in body:
                await reply.send(mask_in(piece))
        except DeepSeekError as error:
            if answered.content_type != EVENT_STREAM:
                # Audio has no place for an error: the caller sees a body that has not ended.
                raise ConnectionResetError(error.message) from None
            await reply.send(failure(error, path))
        finally:
            del self._open[connection]
            await body.aclose()
        return reply


def reply_to(answered: RelayResponse) -> WholeReply:
    """Return an answer, or a refusal, that is complete."""
    assert isinstance(answered.body, bytes)  # noqa: S101  only a request for a stream is answered by one
    return WholeReply(answered.status, returned(answered), mask_in(answered.body))


async def body_of(request: web.BaseRequest, most: int) -> bytes:
    """Return the body of a request. Raises GatewayError (413) above ``most`` bytes."""
    if request.content_length is not None and request.content_length > most:
        raise _too_large(most)
    if request.content.is_eof():  # as nearly all have come whole
        body: bytes = request.content.read_nowait()
        if len(body) > most:
            raise _too_large(most)
        return body
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


def refusal_reply(error: DeepSeekError, path: str) -> WholeReply:
    """Return ``error`` as the answer to a request for ``path``."""
    return reply_to(refusal(error, path))


def refusal(error: DeepSeekError, path: str) -> RelayResponse:
    """Return the response that stands for ``error`` in the protocol of ``path``."""
    response = refusal_of(error)
    if not path.startswith(_ANTHROPIC):
        return response
    assert isinstance(response.body, bytes)  # noqa: S101
    return msgspec.structs.replace(response, body=_as_anthropic(read(response.body)))


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


async def _cancelled(sending: asyncio.Future[RelayResponse]) -> None:
    """End a request whose caller has left, and give its place back."""
    sending.cancel()
    await asyncio.wait((sending,))
    if not sending.cancelled() and sending.exception() is None:
        body = sending.result().body
        if isinstance(body, StreamedBody):
            await body.aclose()
