"""aiohttp.web: relay an answer as server-sent events, map errors to statuses, return answers as JSON.

from deepseek_async.integrations.web.aiohttp import install_error_handlers, relay

async def answer(request: web.Request) -> web.StreamResponse:
    messages = [{"role": "user", "content": (await request.json())["question"]}]
    return await relay(client.chat.completions.stream(model="deepseek-flash", messages=messages), request)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from deepseek_async.errors import DeepSeekError
from deepseek_async.integrations.web.dialects import DialectName
from deepseek_async.integrations.web.disconnects import Disconnects
from deepseek_async.integrations.web.ending import AtEnd
from deepseek_async.integrations.web.error_replies import reply_to
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.relay import Reader, Relay
from deepseek_async.integrations.web.resumable import ResumableAnswers
from deepseek_async.integrations.web.source import Source
from deepseek_async.types import Answer
from deepseek_async.types.json_text import write

_LOG: Final = logging.getLogger("deepseek_async")


async def relay(
    stream: Source,
    request: web.Request,
    dialect: DialectName = "openai",
    *,
    resumable: ResumableAnswers | None = None,
    heartbeat: Heartbeat | None = None,
    at_end: AtEnd | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Relay ``stream`` to the reader of ``request`` and return the finished response.

    The parameters are those of ``deepseek_async.integrations.web.starlette.relay``. Works with and without
    ``handler_cancellation``.
    """
    return await _respond(Relay(stream, dialect, resumable, heartbeat or Heartbeat(), at_end, headers or {}), request)


async def resume(
    request: web.Request,
    resumable: ResumableAnswers,
    answer_id: str,
    *,
    after: int = 0,
    heartbeat: Heartbeat | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send the events of an answer after the event number ``after``, or after ``Last-Event-ID``; 204 if not known."""
    relayed = Relay(None, "text", resumable, heartbeat or Heartbeat(), None, headers or {}, answer_id, after)
    return await _respond(relayed, request)


def install_error_handlers(app: web.Application) -> None:
    """Answer every DeepSeekError with its status, ``Retry-After`` and a fixed sentence; the error itself is logged.

    Also lets a handler return an answer, which is sent as JSON.
    """
    app.middlewares.append(_middleware)


def json_response(answer: Answer, status: int = 200) -> web.Response:
    """Return ``answer`` as JSON, as the server sent it."""
    return web.Response(body=answer.encoded(), status=status, content_type="application/json")


@web.middleware
async def _middleware(request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> web.StreamResponse:
    try:
        answer = await handler(request)
    except DeepSeekError as error:
        reply = reply_to(error)
        _LOG.warning("%s %s answered with %d: %s", request.method, request.path, reply.status, error)
        return web.Response(
            body=write(reply.body), status=reply.status, headers=reply.headers, content_type="application/json"
        )
    if isinstance(answer, Answer):
        return json_response(answer)
    response: web.StreamResponse = answer
    return response


async def _respond(relayed: Relay, request: web.Request) -> web.StreamResponse:
    if request.method == "HEAD":  # of every GET route of aiohttp
        return web.Response(headers=await relayed.unread())
    reader = await relayed.reader(request.headers.get("Last-Event-ID"))
    if reader is None:
        return web.Response(status=204, headers=relayed.headers)
    try:
        with reader:
            return await _until_left(reader, request, web.StreamResponse(headers=relayed.headers_of(reader)))
    finally:
        await reader.left()


async def _until_left(reader: Reader, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    sending = asyncio.ensure_future(_send(reader, request, response))
    with Disconnects.of_this_loop().watch(request.transport) as leaving:
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            await asyncio.wait((sending,))
    if not sending.cancelled():
        sending.result()
    return response


async def _send(reader: Reader, request: web.Request, response: web.StreamResponse) -> None:
    try:
        async for block in reader:
            if not response.prepared:
                await response.prepare(request)
            await response.write(block)
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
    except ConnectionError:  # the reader has left
        return
