"""A streamed message. The names are those of the anthropic package."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deepseek_async.call.stream.answer import AnswerStream
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
    def refused(self) -> bool:
        """Whether the answer has ended as a refusal: text that was shown is to be withdrawn."""
        return self.partial.stop_reason == "refusal"

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of the answer's text alone, as they come."""
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        async for event in self:
            delta = event.delta
            if delta is not None and delta.text and event.type == "content_block_delta":
                yield delta.text

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
