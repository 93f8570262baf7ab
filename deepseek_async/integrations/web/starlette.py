"""Starlette and FastAPI: relay an answer as server-sent events, map errors to statuses, return answers as JSON.

    from deepseek_async.integrations.web.starlette import install_error_handlers, relay

    @app.post("/answer")
    async def answer(request: Request, question: str = Body(embed=True)):
        messages = [{"role": "user", "content": question}]
        return relay(client.chat.completions.stream(model="deepseek-flash", messages=messages), request)

Requires the extra ``web``: ``pip install "deepseek-async[web]"``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.errors import ConfigurationError, DeepSeekError
from deepseek_async.integrations.web.dialects import DialectName
from deepseek_async.integrations.web.ending import AtEnd
from deepseek_async.integrations.web.error_replies import reply_to
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.relay import Reader, Relay
from deepseek_async.integrations.web.resumable import ResumableAnswers
from deepseek_async.integrations.web.source import Source
from deepseek_async.types import Answer, Part

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Message, Receive, Scope, Send
except ImportError:
    raise ConfigurationError('relaying requires Starlette: pip install "deepseek-async[web]"') from None

_LOG: Final = logging.getLogger("deepseek_async")


def relay(
    stream: Source,
    request: Request,
    dialect: DialectName = "openai",
    *,
    resumable: ResumableAnswers | None = None,
    heartbeat: Heartbeat | None = None,
    at_end: AtEnd | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response that relays ``stream`` to the reader of ``request``.

    - ``stream``: ``client.chat.completions.stream(…)``, not entered, or another ``Source``. It is opened when the
      response is sent, so that a call that waits in the queue has heartbeats.
    - ``dialect``: ``openai`` (chunks of the API), ``text`` (events for your own page) or ``ui`` (Vercel's AI SDK).
    - ``resumable``: where to keep the events. A request with the ``Last-Event-ID`` of a kept answer gets the rest of
      that answer, and ``stream`` is not sent; with that of a forgotten one, 204, which ends a browser's attempts.
    - ``heartbeat``: default ``Heartbeat()``, after 2 s for the first time and then every 15 s of silence.
    - ``at_end``: called once with the ``Ending``, also if the reader has left; the mapping that it returns is sent with
      the end.
    - ``headers``: of the response, beside those of an event stream.

    An error before the first event is raised into the application (``install_error_handlers``); later ones are events
    of the dialect. When the reader leaves, the stream to the model is closed at once, or after ``grace`` seconds if
    resumable. Raises ConfigurationError for an unknown dialect.
    """
    return _RelayedResponse(
        Relay(stream, dialect, resumable, heartbeat or Heartbeat(), at_end, headers or {}),
        request.headers.get("last-event-id"),
    )


def resume(
    request: Request,
    resumable: ResumableAnswers,
    answer_id: str,
    *,
    after: int = 0,
    heartbeat: Heartbeat | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with the events of an answer after the event number ``after``, or after ``Last-Event-ID``.

    The response is 204 if the answer is not known, or no longer.
    """
    return _RelayedResponse(
        Relay(None, "text", resumable, heartbeat or Heartbeat(), None, headers or {}, answer_id, after),
        request.headers.get("last-event-id"),
    )


def install_error_handlers(app: Starlette) -> None:
    """Answer every DeepSeekError with its status, ``Retry-After`` and a fixed sentence; the error itself is logged.

    Also lets FastAPI write answers that a route returns.
    """
    app.add_exception_handler(DeepSeekError, _error_response)
    _teach_fastapi()


def json_response(answer: Answer, status_code: int = 200) -> Response:
    """Return ``answer`` as JSON, as the server sent it: for Starlette, whose routes return responses only."""
    return Response(answer.encoded(), status_code, media_type="application/json")


async def _error_response(request: Request, error: Exception) -> Response:
    reply = reply_to(error)
    _LOG.warning("%s %s answered with %d: %s", request.method, request.url.path, reply.status, error)
    from starlette.responses import JSONResponse  # noqa: PLC0415  beside Response it would be a second name for it

    return JSONResponse(reply.body, reply.status, reply.headers)


def _teach_fastapi() -> None:
    """Register our classes with FastAPI's encoder, if the program uses FastAPI."""
    if "fastapi" not in sys.modules:
        return
    from fastapi.encoders import ENCODERS_BY_TYPE  # noqa: PLC0415  optional

    kinds: list[type[Any]] = [Part]
    for kind in kinds:
        ENCODERS_BY_TYPE[kind] = kind.to_dict
        kinds += kind.__subclasses__()


_teach_fastapi()


class _RelayedResponse(Response):
    """Sends what a reader gets, and lets it leave when the client disconnects."""

    def __init__(self, relayed: Relay, last_event_id: str | None) -> None:
        super().__init__(headers=relayed.headers)
        self._relay = relayed
        self._last_event_id = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # of every GET route of Starlette
            await Response(headers=await self._relay.unread())(scope, receive, send)
            return
        reader = await self._relay.reader(self._last_event_id)
        if reader is None:
            await Response(status_code=204, headers=self._relay.headers)(scope, receive, send)
            return
        try:
            with reader:
                await self._until_left(reader, receive, send)
        finally:
            await reader.left()

    async def _until_left(self, reader: Reader, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(reader, send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait((sending, leaving))
        if not sending.cancelled():
            sending.result()

    async def _send(self, reader: Reader, send: Send) -> None:
        begun = False
        try:
            async for block in reader:
                if not begun:
                    begun = True
                    await send(self._start(reader))
                await send({"type": "http.response.body", "body": block, "more_body": True})
            if not begun:
                await send(self._start(reader))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:  # the server's word for a reader that has left (ASGI 2.4)
            return

    def _start(self, reader: Reader) -> Message:
        headers = self._relay.headers_of(reader)
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": 200, "headers": encoded}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
