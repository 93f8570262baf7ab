"""Text to speech over a WebSocket, with text sent in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import WSMsgType, web

from deepseek_async.simulator.services import speech
from deepseek_async.simulator.services.request import WrongRequestError

if TYPE_CHECKING:
    from deepseek_async.simulator.exchange import ServedRequest


async def converse(exchange: ServedRequest, fees: dict[str, int], *, finishes: bool) -> web.StreamResponse:
    """Speak incoming text, and add billed characters to `fees`. Without `finishes` the socket closes without notice."""
    socket = web.WebSocketResponse(max_msg_size=speech.MAX_BYTES)
    await socket.prepare(exchange.request)
    said: list[str] = []
    exchange.record.body = said
    try:
        async for message in socket:
            text = _text(message.data if message.type is WSMsgType.TEXT else "")
            if text is None:
                break
            said.append(text)
            fees["speech_characters"] = speech.billed("".join(said))
            for piece in speech.audio(text):
                await socket.send_bytes(piece)
        if finishes:
            await socket.send_str('{"event":"finish","code":"ok"}')
    except WrongRequestError as wrong:
        await socket.send_str(orjson.dumps({"event": "error", "message": str(wrong)}).decode())
    await socket.close()
    return socket


def _text(data: str) -> str | None:
    """Return the text to speak; None at its end."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        event = None
    if isinstance(event, dict) and event.get("event") == "finish_text":
        return None
    if isinstance(event, dict) and event.get("event") == "text" and isinstance(event.get("text"), str):
        return str(event["text"])
    raise WrongRequestError("Invalid event: expected text or finish_text")
