"""Streams as ordinary iterators."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, Self, TypeVar, cast

from deepseek_async.blocking.loop_thread import LoopThread
from deepseek_async.call.stream import (
    AnswerStream,
    ChatCompletionStream,
    CompletionStream,
    MessageStream,
    ResponseStream,
)
from deepseek_async.process.closing import ClosedOnExit
from deepseek_async.structured.stream import ParsedChatCompletionStream
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    Message,
    MessageStreamEvent,
    ParsedChatCompletion,
    Response,
    ResponseStreamEvent,
)

T = TypeVar("T")
ChunkT = TypeVar("ChunkT")
StreamT = TypeVar("StreamT", bound=AnswerStream[Any, Any])


class BlockingStream(ClosedOnExit, Generic[ChunkT, StreamT]):
    """Iterator over the chunks of a streamed answer. Use it in ``with``: leaving early releases connection and slot."""

    def __init__(self, thread: LoopThread, stream: StreamT) -> None:
        self._thread = thread
        self.asynchronous = stream
        """The stream itself: ``request_id``, ``attempts``, ``fallback``, ``refused``, ``partial``."""
        self._arrived: deque[ChunkT] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChunkT:
        """Return the next chunk; all that have arrived come from the loop at once."""
        if not self._arrived:
            self._arrived.extend(self._thread.run(self._next()))
            if not self._arrived:
                raise StopIteration
        return self._arrived.popleft()

    async def _next(self) -> list[ChunkT]:
        stream = self.asynchronous
        async for chunk in stream:
            return [chunk, *stream.arrived()]
        return []

    def close(self) -> None:
        """Close the stream."""
        self._arrived.clear()
        self._thread.run(self.asynchronous.aclose())


class ChatStream(BlockingStream[ChatCompletionChunk, ChatCompletionStream]):
    """Streamed chat completion."""

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer. Raises DeepSeekError before the end."""
        return self.asynchronous.completion

    def text_deltas(self) -> Iterator[str]:
        """Iterate over the pieces of the answer's text."""
        return (choice.delta.content for chunk in self for choice in chunk.choices if choice.delta.content)


class ParsedChatStream(ChatStream, Generic[T]):
    """Streamed chat completion whose answer is an object of a class."""

    @property
    def _stream(self) -> ParsedChatCompletionStream[T]:
        return cast("ParsedChatCompletionStream[T]", self.asynchronous)

    @property
    def completion(self) -> ParsedChatCompletion[T]:
        """The complete answer with its object. Raises DeepSeekError before the end, StructuredOutputError if it does
        not fit."""
        return self._stream.completion

    @property
    def parsed(self) -> T | None:
        """The validated object; None if the model called a tool instead. Raises like ``completion``."""
        return self._stream.parsed

    def partials(self) -> Iterator[T]:
        """Iterate over the object as it grows, and at last the validated one. Raises StructuredOutputError."""
        return iterated(self._thread, self._stream.partials())


class TextStream(BlockingStream[Completion, CompletionStream]):
    """Streamed text completion."""

    @property
    def completion(self) -> Completion:
        """The complete text. Raises DeepSeekError before the end."""
        return self.asynchronous.completion


class BlockingResponseStream(BlockingStream[ResponseStreamEvent, ResponseStream]):
    """Streamed response."""

    @property
    def response(self) -> Response:
        """The complete answer. Raises DeepSeekError before the end."""
        return self.asynchronous.response


class BlockingMessageStream(BlockingStream[MessageStreamEvent, MessageStream]):
    """Streamed message."""

    @property
    def message(self) -> Message:
        """The complete answer. Raises DeepSeekError before the end."""
        return self.asynchronous.message


def iterated(thread: LoopThread, items: AsyncIterator[T]) -> Iterator[T]:
    """Iterate over ``items`` of the loop; closing the iterator closes them."""

    async def following() -> list[T]:
        async for item in items:
            return [item]
        return []

    async def closed() -> None:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()

    try:
        while found := thread.run(following()):
            yield from found
    finally:
        if not sys.is_finalizing():  # then the loop has ended, and everything on it
            thread.run(closed())
