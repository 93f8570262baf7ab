"""Replay of a complete answer as an exchange, so that a stream reads it like a server's response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from deepseek_async.admission import Lease
from deepseek_async.cache import is_message, replay
from deepseek_async.call.exchange import Exchange
from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.errors import APIError
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import ChatCompletion, Completion, Message, Response
from deepseek_async.types.json_text import read

_CHAT: Final = AnswerDecoder(ChatCompletion)
_TEXT: Final = AnswerDecoder(Completion)
_RESPONSE: Final = AnswerDecoder(Response)
_MESSAGE: Final = AnswerDecoder(Message)


def events_of(body: bytes) -> bytes | None:
    """Return the answer in ``body`` as SSE events, or None if it is not an answer.

    Raises APIResponseValidationError if its format is invalid.
    """
    try:
        said = read(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not (said.get("choices") or said.get("output") or is_message(said)):
        return None
    return replay(_decoder_of(said).regular(body))


def _decoder_of(said: Mapping[str, Any]) -> AnswerDecoder[Any]:
    choices = said.get("choices")
    if not choices:
        return _MESSAGE if is_message(said) else _RESPONSE
    texts = isinstance(choices, list) and any(isinstance(one, dict) and "text" in one for one in choices)
    return _TEXT if texts else _CHAT


def replayed(events: bytes) -> Exchange:
    """Return an exchange that delivers ``events`` in one piece and has no cost."""
    return Exchange(cast(Lease, _NOTHING_OWED), _StoredResponse(events), cast(Watchdog, _NOTHING_LATE))


class _StoredResponse:
    """Response whose body is in memory."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, limit: int) -> bytes:
        del limit
        return self._take()

    async def read_available(self) -> bytes:
        return self._take()

    def _take(self) -> bytes:
        body, self._body = self._body, b""
        return body

    def explain(self, error: Exception) -> APIError:
        raise error

    def release(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class _NothingOwed:
    """Null lease."""

    open = lost = False

    def content_began(self) -> None:
        """Do nothing."""

    def served(self, usage: Any) -> None:
        """Do nothing."""


class _NothingLate:
    """Null timers."""

    def alive(self, *, progressed: bool) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


_NOTHING_OWED: Final = _NothingOwed()
_NOTHING_LATE: Final = _NothingLate()
