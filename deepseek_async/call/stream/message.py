"""A streamed message. The names are those of the anthropic package."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.call.stream.deltas import AnswerEnd, StreamEvent
from deepseek_async.call.stream.message_deltas import MessageDeltas
from deepseek_async.call.stream.reviews import with_reviews
from deepseek_async.call.stream.steps import Reviewing
from deepseek_async.codec.messages import MessageReader
from deepseek_async.types import Message, MessageStreamEvent


class MessageStream(AnswerStream[MessageStreamEvent, Message]):
    """A streamed message; ``message`` is the whole of it once the iteration has ended.

    Its iteration gives the server's events, each as it came, also those that nobody knows. They begin with the first
    content: what opens the message is held back until then, because before it the service may be asked again.
    """

    __slots__ = ()
    _reader_type = MessageReader

    @property
    def message(self) -> Message:
        """The whole answer: its blocks, its usage, why it stopped. Raises DeepSeekError before the end."""
        return self._whole()

    @property
    def current_message_snapshot(self) -> Message:
        """What has arrived so far."""
        return self.partial

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of the answer's text alone, as they come."""
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        async for event in self:
            delta = event.delta
            if delta is not None and delta.text and event.type == "content_block_delta":
                yield delta.text

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """What the answer is made of, told apart as a chat's stream tells it. Leaving them leaves the stream."""
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
        """Read what is left."""
        async for _ in self:
            pass

    async def get_final_message(self) -> Message:
        """The whole answer, once the rest of it was read."""
        await self.until_done()
        return self.message

    async def get_final_text(self) -> str:
        """The text of the whole answer, once the rest of it was read."""
        return (await self.get_final_message()).text

    async def close(self) -> None:
        """Stop receiving."""
        await self.aclose()


def _is_text(event: MessageStreamEvent) -> bool:
    return event.delta is not None and bool(event.delta.text)
