"""Streams of chat completions, text completions and responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from deepseek_async.call.exchange import Exchange
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.stream import response_deltas
from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.call.stream.continuation import continuation_of
from deepseek_async.call.stream.deltas import StreamEvent, events_of
from deepseek_async.call.stream.moderation_wait import with_reviews
from deepseek_async.call.stream.service_steps import Reviewing
from deepseek_async.call.stream.stream_head import StreamHead
from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.forwarded_chunks import ForwardedReader
from deepseek_async.codec.request import BETA_CHAT
from deepseek_async.codec.responses import ResponseReader
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.codec.text_completion import TextReader
from deepseek_async.errors import APIError, DeepSeekError
from deepseek_async.types import ChatCompletion, ChatCompletionChunk, Completion, Response, ResponseStreamEvent


class ChatCompletionStream(AnswerStream[ChatCompletionChunk, ChatCompletion]):
    """Streamed chat completion; ``completion`` is the complete answer after the iteration."""

    __slots__ = ("_resumable", "resumed")
    _reader_type = ChunkReader

    def __init__(self, call: Attempts, exchange: Exchange, *, resumable: bool = False) -> None:
        super().__init__(call, exchange)
        self._resumable = resumable
        self.resumed = False
        """Whether the answer was interrupted and continued in a second response."""

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer: content, reasoning, tool calls and usage. Raises DeepSeekError before the end.

        If ``resumed``, the usage covers both requests; that of the first is estimated.
        """
        completion = self._whole()
        completion.resumed = self.resumed
        return completion

    @property
    def response(self) -> StreamHead:
        """Status and headers of the response."""
        return StreamHead(self._response.status, self._response.headers, self.aclose)

    async def close(self) -> None:
        """Close the stream: openai-python's name of ``aclose``."""
        await self.aclose()

    async def _goes_on(self, failure: APIError) -> bool:
        resumable, self._resumable = self._resumable, False
        # The parameters as sent: a content filter may have changed them.
        further = continuation_of(self._call.request.parameters, failure, self.unfiltered()) if resumable else None
        if further is None:
            return False
        try:
            exchange = await self._call.go_on(BETA_CHAT, further)
        except DeepSeekError as error:
            raise self._interrupted(failure) from error
        if exchange is None:
            return False
        reader = self._reader
        assert isinstance(reader, ChunkReader)  # noqa: S101  for the type checker
        self._read_from(exchange, ChunkReader(SSEDecoder(self._limits.event), assembly=reader.assembly))
        self.resumed = True
        return True

    async def text_deltas(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of the answer's text. Closing the iterator closes the stream."""
        async with self:
            async for chunk in self:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content

    async def reasoning_deltas(self) -> AsyncGenerator[str, None]:
        """Iterate over the pieces of the reasoning. Closing the iterator closes the stream."""
        async with self:
            async for chunk in self:
                for choice in chunk.choices:
                    if choice.delta.reasoning_content:
                        yield choice.delta.reasoning_content

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Iterate over typed events: text, reasoning, tool calls, the ending. Closing the iterator closes the stream.

        Also yields the service's own actions: Searching, Reading, Reviewing, TitleGiven, AnswerWithdrawn; and
        UnknownDelta.
        """
        async with self:
            async for chunk in with_reviews(self, self._call.request.parameters, _has_text):
                if chunk is None:
                    yield Reviewing()
                    continue
                for event in events_of(chunk):
                    yield event


class ForwardedStream(ChatCompletionStream):
    """A chat stream for whoever passes its bytes on: events with nothing but text come as blocks of bytes."""

    __slots__ = ()
    _reader_type = ForwardedReader


class CompletionStream(AnswerStream[Completion, Completion]):
    """Streamed text completion; ``completion`` is the complete answer after the iteration."""

    __slots__ = ()
    _reader_type = TextReader

    @property
    def completion(self) -> Completion:
        """The complete text with its usage. Raises DeepSeekError before the end."""
        return self._whole()

    async def close(self) -> None:
        """Close the stream: openai-python's name of ``aclose``."""
        await self.aclose()


class ResponseStream(AnswerStream[ResponseStreamEvent, Response]):
    """Streamed response; ``response`` is the complete answer after the iteration."""

    __slots__ = ()
    _reader_type = ResponseReader

    @property
    def response(self) -> Response:
        """The complete answer: items, text and usage. Raises DeepSeekError before the end."""
        return self._whole()

    async def close(self) -> None:
        """Close the stream: openai-python's name of ``aclose``."""
        await self.aclose()

    async def until_done(self) -> Self:
        """Read to the end."""
        async for _ in self:
            pass
        return self

    async def get_final_response(self) -> Response:
        """Read to the end and return the complete answer."""
        await self.until_done()
        return self.response

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Iterate over typed events, the same as those of a chat stream. Closing the iterator closes the stream."""
        async with self:
            async for chunk in with_reviews(self, self._call.request.parameters, _is_text):
                if chunk is None:
                    yield Reviewing()
                    continue
                for event in response_deltas.events_of(chunk):
                    yield event


def _has_text(chunk: ChatCompletionChunk) -> bool:
    return any(choice.delta.content for choice in chunk.choices)


def _is_text(event: ResponseStreamEvent) -> bool:
    return event.type == "response.output_text.delta"
