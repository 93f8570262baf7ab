"""Readers of streams with ``choices``: bytes to typed chunks and the assembled answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, Generic

import msgspec

from deepseek_async.codec.answer_check import error_beside, fault_of_emptiness, fault_of_ending, fault_of_stream
from deepseek_async.codec.answer_decoder import UNREADABLE, AnswerDecoder
from deepseek_async.codec.assembly import Assembly, says
from deepseek_async.codec.reader import ChunkT, ReaderState, WholeT, says_nothing
from deepseek_async.codec.status_errors import error_object
from deepseek_async.codec.undeclared_fields import take_out
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.types import ChatCompletion, ChatCompletionChunk, ChoiceDelta, ChunkChoice, CompletionUsage
from deepseek_async.types.chat_completion import OpenChunk
from deepseek_async.types.json_text import read, write

_DONE: Final = b"[DONE]"
_SPOILT: Final = "\ufffd".encode()
"""Replacement for invalid UTF-8."""


class ChoicesReader(ReaderState, Generic[ChunkT, WholeT]):
    """A stream of chunks with ``choices``, ended by ``[DONE]``."""

    _decoder: ClassVar[AnswerDecoder[Any]]
    _silence: ClassVar[Any]
    """Creates an empty choice."""
    assembly: Any = None
    _decode: Any = None
    _odd: list[int] = []
    """Positions within a block of the chunks with undeclared fields."""

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
                    # Compared only after decoding failed: the end marker comes once.
                    if data.strip() == _DONE:
                        self.done = self.halted = True
                        break
                    if says_nothing(data):
                        continue
                    chunk = self._otherwise(data, len(chunks))
                chunk._wire = data  # noqa: SLF001  only decoders write this field
                if not chunk.choices and chunk.usage is None and self._is_error(chunk, data):
                    break
                append(chunk)
        except APIResponseValidationError as error:
            self.failure, self.halted = without_frames(error), True
        assembly = self.assembly
        progressed = self._add_by_one(chunks) if self._odd else assembly.add(chunks)
        if progressed is not self.progressed:  # a write costs ten times a read
            self.progressed = progressed
        if assembly.oddly_ended_by is not None:
            self._look_for_error(assembly.oddly_ended_by)
        if assembly.usage is not None and self.usage_asked:
            self._give_choices(chunks)
        if self.preface is not None:
            self._begin(block, some=bool(chunks))
        if self.halted and not self.done and self.whole:
            # Data after the end of the answer cannot invalidate it.
            self.failure, self.error, self.done = None, None, True
        return chunks

    def _is_error(self, chunk: Any, data: bytes) -> bool:
        """Whether ``chunk``, which is empty, is an error object instead of a chunk."""
        self._decoder.check_unread(data)
        self.error = error_object(chunk.to_dict())
        self.halted = self.error is not None
        return self.halted

    def _otherwise(self, data: bytes, position: int) -> Any:
        """Decode a chunk that the strict decoder rejects."""
        del position
        chunk = self._decoder.decode_tolerantly(data)
        self.note(chunk)
        return chunk

    def _add_by_one(self, chunks: list[ChunkT]) -> bool:
        """Like ``assembly.add``, for a block in which some chunks have undeclared fields."""
        raise NotImplementedError

    def _look_for_error(self, ended: Any) -> None:
        self.assembly.oddly_ended_by = None
        error = error_beside(ended)
        if error is not None:
            self.error, self.done, self.halted = error, False, True

    def _begin(self, block: bytes, *, some: bool) -> None:
        """Clear the preface at the first chunk; keep ``block`` in it before that."""
        if some or self.halted:
            self.preface = None
        else:
            self.keep(block)

    def _give_choices(self, chunks: Iterable[Any]) -> None:
        """Give a usage-only chunk, which the caller did not request, an empty choice.

        DeepSeek's last chunk has one: callers that read ``chunk.choices[0]`` must not fail because we requested usage.
        """
        for chunk in chunks:
            if not chunk.choices and chunk.usage is not None and self.assembly.finish_reasons:
                chunk.choices = [self._silence()]

    @property
    def usage(self) -> CompletionUsage | None:
        """See ``StreamReader.usage``."""
        usage: CompletionUsage | None = self.assembly.usage
        return usage

    @property
    def model(self) -> str | None:
        """See ``StreamReader.model``."""
        model: str | None = self.assembly.model
        return model

    @property
    def refused(self) -> bool:
        """See ``StreamReader.refused``."""
        return "content_filter" in self.assembly.finish_reasons

    @property
    def whole(self) -> bool:
        """See ``StreamReader.whole``: every choice has a finish reason."""
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
        whole.repaired = tuple(self.notes)
        return whole

    def ends(self, chunk: Any) -> bool:
        """See ``StreamReader.ends``."""
        return any(choice.finish_reason for choice in chunk.choices)


def _silent_choice() -> ChunkChoice:
    return ChunkChoice(delta=ChoiceDelta(content=""))


class ChunkReader(ChoicesReader[ChatCompletionChunk, ChatCompletion]):
    """Reader of a chat answer."""

    _decoder: ClassVar[AnswerDecoder[ChatCompletionChunk]] = AnswerDecoder(ChatCompletionChunk, odd=OpenChunk)
    _silence: ClassVar = staticmethod(_silent_choice)
    assembly: Assembly = msgspec.field(default_factory=Assembly)
    # An instance field: a class attribute would be looked up through all base classes on every read.
    _decode: Any = _decoder.decode_strictly

    def _otherwise(self, data: bytes, position: int) -> ChatCompletionChunk:
        """Decode a chunk that the strict decoder rejects, often only because of a new field."""
        try:
            sent = read(data)
            undeclared = take_out(sent) if isinstance(sent, dict) else None
            if not data.isascii() and _SPOILT in write(sent):
                # Declared fields must be valid UTF-8; undeclared ones need not be.
                read(data, errors="strict")
            chunk: ChatCompletionChunk = self._decoder.of_values(sent, data)
        except (ValueError, RecursionError):
            return self._decoder.decode_tolerantly(data)  # raises the error
        chunk.undeclared = undeclared
        if chunk.repaired:
            self.note(chunk)
        self._odd.append(position)
        return chunk

    def _add_by_one(self, chunks: list[ChatCompletionChunk]) -> bool:
        progressed, start = False, 0
        for position in self._odd:
            progressed = self.assembly.add(chunks[start:position]) or progressed
            start = position + 1
            for chunk in chunks[position:start]:  # empty if it was an error
                came = chunk.undeclared
                before = self.assembly.lengths() if came is not None and came.has_blocks else {}
                progressed = self.assembly.add((chunk,)) or progressed
                if came is not None:
                    self.assembly.add_undeclared(came, before)
                    progressed = progressed or came.says
        self._odd.clear()
        return self.assembly.add(chunks[start:]) or progressed

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        fault = fault_of_stream(self.assembly.finish_reasons)
        del progressed  # reasoning alone is progress but not an answer
        if fault is None and self.assembly.says_nothing:
            fault = fault_of_emptiness(self.assembly.completion())
        return fault

    def leave_in(self, failure: APIError) -> None:
        """See ``StreamReader.leave_in``."""
        failure.partial = self.assembly.completion()

    def says_nothing(self, chunk: ChatCompletionChunk) -> bool:
        """See ``StreamReader.says_nothing``."""
        if chunk.undeclared is not None and chunk.undeclared.says:
            return False
        return not any(says(choice.delta) for choice in chunk.choices)
