"""The stream of ``chat.completions.stream()``: iterates over openai-python's events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Generic, Self, TypeVar

from deepseek_async.call.stream.completion_events import ChatCompletionStreamEvent, CompletionEvents
from deepseek_async.call.stream.deltas import StreamEvent
from deepseek_async.call.stream.stream_head import StreamHead
from deepseek_async.call.stream.streams import ChatCompletionStream
from deepseek_async.errors import InvalidRequestError
from deepseek_async.process.closing import AsyncClosedOnExit
from deepseek_async.structured.output import StructuredOutput
from deepseek_async.structured.stream import ParsedChatCompletionStream
from deepseek_async.structured.tool_arguments import ToolArguments
from deepseek_async.types import ChatCompletion, ParsedChatCompletion

T = TypeVar("T")


class ChatCompletionEventStream(AsyncClosedOnExit, Generic[T]):
    """Asynchronous iterator over events: ``event.type`` is "content.delta", "content.done", "chunk", ….

    ``text_deltas()``, ``reasoning_deltas()`` and ``events()`` are other views of the same stream: use one of them.
    Errors and retries are those of ChatCompletionStream.
    """

    def __init__(self, stream: ChatCompletionStream, arguments: ToolArguments) -> None:
        self._stream = stream
        self._arguments = arguments
        parse: Any = stream.object_in if isinstance(stream, ParsedChatCompletionStream) else None
        self._events: CompletionEvents[T] = CompletionEvents(self._look, parse, arguments.object_in, arguments.reads)
        self._pending: Iterator[ChatCompletionStreamEvent[T]] = iter(())
        self._final: ParsedChatCompletion[T] | None = None

    def _look(self) -> ChatCompletion:
        return self._stream.partial

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionStreamEvent[T]:
        for event in self._pending:
            return event
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            self._finished()
            raise
        self._pending = self._events.of(chunk)
        return next(self._pending)

    async def until_done(self) -> Self:
        """Read to the end."""
        async for _ in self:
            pass
        return self

    async def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Read to the end and return the complete answer, parsed if a class was requested.

        Raises StructuredOutputError, with the answer as ``partial``, if it does not fit the class.
        """
        await self.until_done()
        return self._finished()

    def _finished(self) -> ParsedChatCompletion[T]:
        if self._final is None:
            completion: Any = self._stream.completion
            if not isinstance(completion, ParsedChatCompletion):
                completion = StructuredOutput.unparsed(completion)
            self._arguments.put_in(completion)
            self._final = completion
        return self._final

    @property
    def parsed(self) -> T | None:
        """The validated object of a class; None without a class, or if the model called a tool instead.

        Raises DeepSeekError before the end, then StructuredOutputError if the answer does not fit.
        """
        return self._finished().parsed

    def partials(self) -> AsyncGenerator[T, None]:
        """Iterate over the object as it grows, and at last the validated one: see ParsedChatCompletionStream.

        Raises InvalidRequestError without a class as ``response_format``.
        """
        stream: Any = self._stream
        if not isinstance(stream, ParsedChatCompletionStream):
            raise InvalidRequestError("partials() is for an answer of a class: pass one as response_format")
        return stream.partials()

    @property
    def current_completion_snapshot(self) -> ChatCompletion:
        """The answer as far as it has arrived."""
        return self._stream.partial

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer. Raises DeepSeekError before the end, and StructuredOutputError if it does not fit."""
        return self._stream.completion

    @property
    def partial(self) -> ChatCompletion:
        """The answer assembled from the chunks so far; possibly incomplete."""
        return self._stream.partial

    @property
    def chunks(self) -> ChatCompletionStream:
        """The stream of chunks, as ``create(stream=True)`` returns it."""
        return self._stream

    @property
    def response(self) -> StreamHead:
        """Status and headers of the response."""
        return self._stream.response

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response."""
        return self._stream.request_id

    @property
    def attempts(self) -> int:
        """Number of requests sent so far."""
        return self._stream.attempts

    @property
    def fallback(self) -> str | None:
        """Model or endpoint that answers instead of the requested one; None without a fallback."""
        return self._stream.fallback

    @property
    def refused(self) -> bool:
        """Whether the service's moderation ended the answer; the caller should withdraw what it showed."""
        return self._stream.refused

    @property
    def resumed(self) -> bool:
        """Whether the answer was interrupted and continued in a second response."""
        return self._stream.resumed

    def text_deltas(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of the answer's text. Closing the iterator closes the stream."""
        return self._stream.text_deltas()

    def reasoning_deltas(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of the reasoning. Closing the iterator closes the stream."""
        return self._stream.reasoning_deltas()

    def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Iterate over typed events: text, reasoning, tool calls, the service's own steps, the ending."""
        return self._stream.events()

    async def aclose(self) -> None:
        """Close the stream. Connection and slot are released on return."""
        await self._stream.aclose()

    async def close(self) -> None:
        """Close the stream: openai-python's name of ``aclose``."""
        await self._stream.aclose()
