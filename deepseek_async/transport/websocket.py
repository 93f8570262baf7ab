"""WebSocket conversation as a response: sends texts as they become available; binary messages are the body."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import aiohttp
import msgspec

from deepseek_async.errors import APIConnectionError, APIError, DeepSeekError, StreamInterruptedError
from deepseek_async.text.quoting import quote
from deepseek_async.transport.protocol import TextFeed
from deepseek_async.transport.watchdog import Watchdog

_FINISH: Final = "finish"
_ERROR: Final = "error"
_OK: Final = 200
_STATUSES: Final = frozenset(map(str, range(400, 600)))
_MOST_WAITING: Final = 64
"""Messages buffered ahead of the reader."""


class Refused(msgspec.Struct):
    """Response to a rejected handshake: a status without a body, which aiohttp drops."""

    status: int
    headers: Mapping[str, str]
    _watchdog: Watchdog

    async def read(self, limit: int) -> bytes:  # noqa: ARG002
        """See ``HTTPResponse.read``."""
        return b""

    async def read_available(self) -> bytes:
        """See ``HTTPResponse.read_available``."""
        return b""

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        if isinstance(error, APIError):
            return error
        raise error

    def release(self) -> None:
        """See ``HTTPResponse.release``."""
        self._watchdog.stop()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        self._watchdog.stop()


class Conversation:
    """Conversation; see ``Response``. Complete only after a message with ``finish``."""

    status = _OK

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        headers: Mapping[str, str],
        texts: TextFeed,
        watchdog: Watchdog,
    ) -> None:
        self.headers = headers
        self.finish: dict[str, Any] | None = None
        """Last message of the server, as received."""
        self._socket = socket
        self._watchdog = watchdog
        self._failure: DeepSeekError | None = None
        self._pieces: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._said_all = False
        self._over = False
        self._tasks = {asyncio.ensure_future(self._speak(texts)), asyncio.ensure_future(self._listen())}
        watchdog.guard(self._expire)

    async def read(self, limit: int) -> bytes:
        """See ``HTTPResponse.read``; for an answer of another status."""
        blocks: list[bytes] = []
        while block := await self.read_available():
            blocks.append(block)
            if sum(map(len, blocks)) > limit:
                break
        return b"".join(blocks)

    async def read_available(self) -> bytes:
        """See ``HTTPResponse.read_available``; idle time counts against the server only after all texts were sent."""
        while True:
            if self._pieces:
                block = b"".join(self._pieces)
                self._pieces.clear()
                self._room.set()
                return block
            if self._failure is not None:
                raise self._failure
            if self.finish is not None:
                return b""
            if self._said_all:
                self._watchdog.waiting()
            self._arrived.clear()
            await self._arrived.wait()

    def explain(self, error: Exception) -> APIError:
        """See ``HTTPResponse.explain``."""
        if isinstance(error, APIError):
            return error
        raise error

    def release(self) -> None:
        """See ``HTTPResponse.release``."""
        self.close()

    def close(self) -> None:
        """See ``HTTPResponse.close``."""
        if self._over:
            return
        self._over = True
        self._watchdog.stop()
        self._fail(APIConnectionError("WebSocket closed during read", connected=True))
        closing = asyncio.ensure_future(self._close())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(Exception):
            await self._socket.close()

    def _expire(self) -> None:
        self._fail(self._watchdog.failure())

    def _fail(self, failure: DeepSeekError) -> None:
        if self._failure is None and self.finish is None:
            self._failure = failure
        self._arrived.set()

    async def _speak(self, texts: TextFeed) -> None:
        try:
            async for frame in texts.frames():
                await self._socket.send_str(frame)
                self._watchdog.alive()
            self._said_all = True
            self._watchdog.alive(progressed=True)
            self._watchdog.waiting()
        except DeepSeekError as error:  # for example from the content filter
            self._fail(error)
        except (aiohttp.ClientError, OSError) as error:
            self._fail(_lost(type(error).__name__))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  raised by the caller's iterator
            self._caller_failed(error)

    def _caller_failed(self, error: Exception) -> None:
        failure = StreamInterruptedError(
            f"the iterator of texts raised {type(error).__name__}; see __cause__", retryable=False
        )
        failure.__cause__ = error
        self._fail(failure)

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                self._watchdog.alive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._pieces.append(message.data)
                    self._arrived.set()
                    if len(self._pieces) >= _MOST_WAITING:
                        self._room.clear()
                        await self._room.wait()
                elif message.type is aiohttp.WSMsgType.TEXT and self._is_over(message.data):
                    return
        except (aiohttp.ClientError, OSError) as error:
            self._fail(_lost(type(error).__name__))
        else:
            self._fail(_lost(f"closed with code {self._socket.close_code} before finish"))

    def _is_over(self, text: str) -> bool:
        """Whether ``text`` is the server's last message. Unknown events are ignored."""
        try:
            said = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        if not isinstance(said, dict):
            return False
        if _tells_an_error(said):
            self._fail(
                StreamInterruptedError(
                    f"the server ended the speech with an error: {quote(text.encode())}", gave_up=True, retryable=False
                )
            )
            return True
        if said.get("event") != _FINISH:
            return False
        self.finish = said
        self._arrived.set()
        return True


_closing: Final[set[asyncio.Future[None]]] = set()
"""Closing handshakes in progress; the loop itself holds only weak references to tasks."""


def _tells_an_error(said: Mapping[str, Any]) -> bool:
    """Whether the message reports an error: by its event, an error object, or a code that is an error status. Other
    codes are undocumented (DeepSeek docs, TTS guide) and left to the reader of ``finish``."""
    code = said.get("code")
    failed = isinstance(code, int | str) and str(code) in _STATUSES
    return said.get("event") == _ERROR or bool(said.get("error")) or failed


def _lost(how: str) -> APIConnectionError:
    return APIConnectionError(f"WebSocket connection lost: {how}", connected=True)
