"""Body of a streamed answer: the server's events as bytes, after everything the engine does with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Final, Self

from deepseek_async.cache import replay
from deepseek_async.call.stream import AnswerStream
from deepseek_async.errors import APIError, APITimeoutError
from deepseek_async.relay.paid_answers import answer_in
from deepseek_async.types import Answer, ChatCompletionChunk
from deepseek_async.types.json_text import read, write

Encode = Callable[[Sequence[Any]], bytes]
"""Chunks of an answer to server-sent events."""

DONE: Final = b"data: [DONE]\n\n"
"""End marker of streams with choices; streams of responses and messages have none."""

_LINE_END: Final = 0x0A
_NO_CONTENT: Final = {"index": 0, "delta": {"content": ""}, "finish_reason": None, "logprobs": None}


class StreamedBody:
    """Asynchronous iterator over the bytes of a streamed answer, whole events only. Close it if it is not read whole.

    Each item holds every event that has arrived. Raises the error of a stream that breaks off, with what had arrived
    of the answer as ``partial``, and APITimeoutError if nothing comes for ``patience`` seconds; None for no limit.
    """

    __slots__ = ("_encode", "_last", "_patience", "_shown", "_stream", "failure")

    def __init__(self, stream: AnswerStream[Any, Any], encode: Encode, last: bytes, patience: float | None) -> None:
        self._stream = stream
        self._encode = encode
        self._last = last
        self._patience = patience
        self._shown = False
        self.failure: APIError | None = None
        """The error behind an answer that ended unusually, e.g. without content; the bytes are the server's."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        stream = self._stream
        try:
            if self._patience is None:
                chunks = [await anext(stream)]
            else:
                async with within(self._patience):
                    chunks = [await anext(stream)]
        except StopAsyncIteration:
            last, self._last = self._last, b""
            if not last:
                raise
            return last
        except APIError as error:
            answer = answer_in(error)
            if answer is None:
                raise
            self.failure, self._last, last = error, b"", self._last
            ending = last if self._shown else replay(write(answer.to_dict()))
            if not ending:
                raise StopAsyncIteration from None
            return ending
        self._shown = True
        return self._encode(chunks + stream.arrived())

    def shut(self) -> None:
        """End the request at the server, ahead of ``aclose``: the reader has left and is about to be cancelled."""
        self._stream.shut()

    async def aclose(self) -> None:
        """Close the stream: the request at the server ends and its place is free on return."""
        await self._stream.aclose()


class within:  # noqa: N801  reads as a statement
    """``async with within(seconds)``: raise APITimeoutError if the block takes longer; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._limit: Any = nullcontext() if seconds is None else asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._limit.__aexit__(*raised)
        except TimeoutError:
            late = APITimeoutError(
                f"no part of the answer came within {self._seconds} s, which is the caller's timeout", phase="total"
            )
        else:
            return
        raise late


def chat_events(chunks: Sequence[ChatCompletionChunk | bytes]) -> bytes:
    """Encode chunks with choices; events that come as bytes stay as they are."""
    return b"".join([chunk if type(chunk) is bytes else b"data: %b\n\n" % _chat_data(chunk) for chunk in chunks])


def named_events(chunks: Sequence[Any]) -> bytes:
    """Encode events that have a type: those of responses and messages."""
    return b"".join([b"event: %b\ndata: %b\n\n" % (_name(chunk.type), _data(chunk)) for chunk in chunks])


def _name(kind: str) -> bytes:
    # A line end in it would begin another field.
    return kind.encode() if kind.isprintable() else b"message"


def _chat_data(chunk: Any) -> bytes:
    data = _data(chunk)
    if chunk.usage is not None and chunk.choices:
        # The reader gives a choice to a chunk with nothing but a usage that only the engine asked for.
        said = read(data)
        if not said.get("choices"):
            return write({**said, "choices": [_NO_CONTENT]})
    return data


def _data(chunk: Answer) -> bytes:
    wire = chunk._wire  # noqa: SLF001  the bytes as they came
    if wire and not chunk.repaired and _LINE_END not in wire:
        return wire
    return write(chunk.to_dict())
