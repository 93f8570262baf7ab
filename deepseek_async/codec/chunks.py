"""Bytes of a streamed chat answer to typed chunks, and to the completion they make up. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from deepseek_async.codec.assembly import Assembly
from deepseek_async.codec.body import UNREADABLE, AnswerDecoder
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.types import ChatCompletionChunk

_DECODER: Final = AnswerDecoder(ChatCompletionChunk)
_decode: Final = _DECODER.decode_strictly
_DONE: Final = b"[DONE]"


class ChunkReader(msgspec.Struct, gc=False, eq=False):
    """Reads one attempt's stream. ``feed`` is the hot path: once per socket read, for all that has arrived."""

    _events: SSEDecoder = msgspec.field(default_factory=SSEDecoder)
    assembly: Assembly = msgspec.field(default_factory=Assembly)
    done: bool = False
    """Whether ``[DONE]`` has come; what follows it is ignored."""
    failure: APIError | None = None
    """What could not be read. Chunks before it are returned all the same."""
    error: Any = None
    """The error object that the server sent in the place of a chunk."""
    halted: bool = False
    """Whether one of done, error and failure is set."""
    progressed: bool = False
    """Whether the last feed brought content, reasoning or a tool call."""

    __repr__ = object.__repr__

    def feed(self, block: bytes) -> list[ChatCompletionChunk]:
        """The chunks that ``block`` completes."""
        chunks: list[ChatCompletionChunk] = []
        append = chunks.append
        try:
            for data in self._events.feed_data(block):
                try:
                    chunk = _decode(data)
                except UNREADABLE:
                    # No chunk is spent on comparing with the marker that comes once.
                    if data.strip() == _DONE:
                        self.done = self.halted = True
                        break
                    chunk = _DECODER.decode_tolerantly(data)
                chunk._wire = data  # noqa: SLF001  the decoder is the one writer of this field
                if not chunk.choices and chunk.usage is None:
                    self.error = chunk.to_dict().get("error")
                    if self.error is not None:
                        self.halted = True
                        break
                append(chunk)
        except APIResponseValidationError as error:
            self.failure, self.halted = error, True
        self.progressed = self.assembly.add(chunks)
        return chunks
