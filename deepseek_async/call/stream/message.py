"""Streamed message, with the names of the anthropic package."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.call.stream.deltas import AnswerEnd, StreamEvent
from deepseek_async.call.stream.message_deltas import MessageDeltas
from deepseek_async.call.stream.moderation_wait import with_reviews
from deepseek_async.call.stream.service_steps import Reviewing
from deepseek_async.codec.messages import MessageReader
from deepseek_async.types import Message, MessageStreamEvent


class MessageStream(AnswerStream[MessageStreamEvent, Message]):
    """Streamed message; ``message`` is the complete answer after the iteration.

    Yields the server's events unchanged, unknown ones included. They begin with the first content: the opening events
    are held back until then, because before it the request may be retried.
    """

    __slots__ = ()
    _reader_type = MessageReader

    @property
    def message(self) -> Message:
        """The complete answer: blocks, usage and stop reason. Raises DeepSeekError before the end."""
        return self._whole()

    @property
    def current_message_snapshot(self) -> Message:
        """The message assembled from the events so far."""
        return self.partial

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """Iterate over the pieces of the answer's text."""
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        async for event in self:
            delta = event.delta
            if delta is not None and delta.text and event.type == "content_block_delta":
                yield delta.text

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Iterate over typed events, the same as those of a chat stream. Closing the iterator closes the stream."""
        deltas = MessageDeltas()
        async with self:
            async for came in with_reviews(self, self._call.request.parameters, _is_text):
                if came is None:
                    yield Reviewing()
                    continue
                for event in deltas.events_of(came):
                    yield event
                if came.type == "message_delta":
                    answer = self._reader.answer()
                    if answer.finish_reason is not None:
                        yield AnswerEnd(answer.finish_reason, self._reader.usage)

    async def until_done(self) -> None:
        """Read to the end."""
        async for _ in self:
            pass

    async def get_final_message(self) -> Message:
        """Read to the end and return the complete answer."""
        await self.until_done()
        return self.message

    async def get_final_text(self) -> str:
        """Read to the end and return the answer's text."""
        return (await self.get_final_message()).text

    async def close(self) -> None:
        """Close the stream."""
        await self.aclose()


def _is_text(event: MessageStreamEvent) -> bool:
    return event.delta is not None and bool(event.delta.text)
