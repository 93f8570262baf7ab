"""Bytes of a streamed answer to typed chunks, and to the whole answer they make up. Pure."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from deepseek_async.codec.assembly import Assembly
from deepseek_async.codec.body import UNREADABLE, AnswerDecoder
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.codec.verdict import fault_of_emptiness, fault_of_ending, fault_of_stream
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.types import Answer, ChatCompletion, ChatCompletionChunk, CompletionUsage

ChunkT = TypeVar("ChunkT", bound=Answer)
WholeT = TypeVar("WholeT", bound=Answer)

_DONE: Final = b"[DONE]"

PREFACE_BYTES: Final = 64 * 1024
"""Bytes before the first event that are kept, to be explained if no event comes; the rest is only counted."""


class StreamReader(msgspec.Struct, Generic[ChunkT, WholeT], gc=False, eq=False):
    """Reads one attempt's stream. What kind of answer it is decides the subclass.

    ``feed`` is the hot path: once per socket read, for all that has arrived.
    """

    _events: SSEDecoder = msgspec.field(default_factory=SSEDecoder)
    done: bool = False
    """Whether the end that this kind of stream has, has come; what follows it is ignored."""
    failure: APIError | None = None
    """What could not be read. Chunks before it are returned all the same."""
    error: Any = None
    """The error object that the server sent in the place of a chunk."""
    halted: bool = False
    """Whether one of done, error and failure is set."""
    progressed: bool = False
    """Whether the last feed brought content, reasoning or a tool call."""
    preface: bytes | None = None
    """What came before the first event: blank lines, comments, or something that is no stream. None after it."""

    __repr__ = object.__repr__

    def feed(self, block: bytes) -> list[ChunkT]:
        """The chunks that ``block`` completes."""
        raise NotImplementedError

    def answer(self) -> WholeT:
        """What has arrived so far, as one answer."""
        raise NotImplementedError

    @property
    def usage(self) -> CompletionUsage | None:
        """What the answer consumed, once the server has said so."""
        raise NotImplementedError

    @property
    def whole(self) -> bool:
        """Whether the answer is complete although the stream's own end has not come."""
        raise NotImplementedError

    def fault(self, *, progressed: bool) -> APIError | None:
        """Why what has arrived by the end of the stream is no answer; None when it is one."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Characters of text that are kept of what has arrived so far."""
        raise NotImplementedError

    def leave_in(self, failure: APIError) -> None:
        """Let ``failure`` tell what had arrived when it broke the stream."""
        raise NotImplementedError

    def ends(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` says that the answer, or a part of it, is complete."""
        raise NotImplementedError

    def says_nothing(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` carries neither content nor reasoning nor a tool call."""
        raise NotImplementedError


class ChoicesReader(StreamReader[ChunkT, WholeT], Generic[ChunkT, WholeT]):
    """A stream of chunks with ``choices``, which ends with ``[DONE]``."""

    _decoder: ClassVar[AnswerDecoder[Any]]
    assembly: Any = None
    _decode: Any = None
    preface: bytes | None = b""

    def feed(self, block: bytes) -> list[ChunkT]:
        """See ``StreamReader.feed``."""
        chunks: list[ChunkT] = []
        append = chunks.append
        decode = self._decode
        try:
            for data in self._events.feed_data(block):
                try:
                    chunk = decode(data)
                except UNREADABLE:
                    # No chunk is spent on comparing with the marker that comes once.
                    if data.strip() == _DONE:
                        self.done = self.halted = True
                        break
                    chunk = self._decoder.decode_tolerantly(data)
                chunk._wire = data  # noqa: SLF001  the decoder is the one writer of this field
                if not chunk.choices and chunk.usage is None:
                    self._decoder.check_unread(data)
                    self.error = chunk.to_dict().get("error")
                    if self.error is not None:
                        self.halted = True
                        break
                append(chunk)
        except APIResponseValidationError as error:
            self.failure, self.halted = error, True
        self.progressed = self.assembly.add(chunks)
        if self.preface is not None:
            self.preface = None if chunks or self.halted else (self.preface + block)[-PREFACE_BYTES:]
        return chunks

    @property
    def usage(self) -> CompletionUsage | None:
        """See ``StreamReader.usage``."""
        usage: CompletionUsage | None = self.assembly.usage
        return usage

    @property
    def whole(self) -> bool:
        """See ``StreamReader.whole``: every choice has ended in order."""
        reasons = self.assembly.finish_reasons
        return bool(reasons) and all(fault_of_ending(reason) is None for reason in reasons)

    @property
    def size(self) -> int:
        """See ``StreamReader.size``."""
        size: int = self.assembly.size
        return size

    def answer(self) -> WholeT:
        """See ``StreamReader.answer``."""
        whole: WholeT = self.assembly.completion()
        return whole

    def ends(self, chunk: Any) -> bool:
        """See ``StreamReader.ends``."""
        return any(choice.finish_reason for choice in chunk.choices)


class ChunkReader(ChoicesReader[ChatCompletionChunk, ChatCompletion]):
    """A chat answer."""

    _decoder: ClassVar = AnswerDecoder(ChatCompletionChunk)
    assembly: Assembly = msgspec.field(default_factory=Assembly)
    # A field and no class attribute: that is looked for through all parents, on every read.
    _decode: Any = _decoder.decode_strictly

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        fault = fault_of_stream(self.assembly.finish_reasons)
        del progressed  # reasoning alone is progress, and no answer
        if fault is None and self.assembly.says_nothing:
            fault = fault_of_emptiness(self.assembly.completion())
        return fault

    def leave_in(self, failure: APIError) -> None:
        """See ``StreamReader.leave_in``."""
        failure.partial = self.assembly.completion()

    def says_nothing(self, chunk: ChatCompletionChunk) -> bool:
        """See ``StreamReader.says_nothing``."""
        deltas = [choice.delta for choice in chunk.choices]
        return not any(delta.content or delta.reasoning_content or delta.tool_calls for delta in deltas)
