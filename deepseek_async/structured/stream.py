"""Streamed answer of a class: objects that grow while the answer arrives, and the validated one at the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Generic, TypeVar

from deepseek_async.call.exchange import Exchange
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.stream import ChatCompletionStream
from deepseek_async.structured.output import StructuredOutput
from deepseek_async.types import ChatCompletion, ParsedChatCompletion

T = TypeVar("T")


class ParsedChatCompletionStream(ChatCompletionStream, Generic[T]):
    """Streamed chat completion whose answer is an object of a class.

    ``partials()`` yields the object as it grows; ``parsed`` is the validated one after the iteration. An answer that
    does not fit raises StructuredOutputError with the answer as ``partial``: unlike a plain call, a stream is not asked
    again, because what was shown cannot be taken back.
    """

    __slots__ = ("_output", "_parsed")

    def __init__(self, call: Attempts, exchange: Exchange, *, output: StructuredOutput[T]) -> None:
        super().__init__(call, exchange)
        self._output = output
        self._parsed: ParsedChatCompletion[T] | None = None

    @property
    def completion(self) -> ParsedChatCompletion[T]:
        """The complete answer with its object. Raises DeepSeekError before the end, then StructuredOutputError if the
        answer does not fit."""
        if self._parsed is None:
            self._parsed = self._output.parsed(super().completion)
        return self._parsed

    def object_in(self, text: str) -> T | None:
        """Return the object in the complete ``text``; None if it does not fit."""
        return self._output.object_in(text)

    @property
    def unparsed(self) -> ChatCompletion:
        """The complete answer as it came. Raises DeepSeekError before the end."""
        return super().completion

    @property
    def parsed(self) -> T | None:
        """The validated object; None if the model called a tool instead. Raises like ``completion``."""
        return self.completion.parsed

    async def partials(self) -> AsyncGenerator[T, None]:
        """Iterate over the object as it grows, and at last the validated one. Closing the iterator closes the stream.

        A partial has the type of its class, made without its constructor and validators. Texts, lists and objects
        grow; a number, a date, an enum or a value of one of several types appears once it is complete. A field that
        has not arrived is None, and absent from a TypedDict or dict. Each is an object of its own, which shares its
        complete parts with earlier ones: do not change it. In very long answers several pieces are shown at once, so
        that the work is linear in the length. Raises StructuredOutputError at the end if the answer does not fit.
        """
        reader = self._output.growing()
        async with self:
            async for chunk in self:
                fed = [reader.feed(piece) for piece in self._output.pieces(chunk)]
                if any(fed):
                    growing: Any = reader.partial()
                    if growing is not None:
                        yield growing
        parsed = self.parsed
        if parsed is not None:
            yield parsed
