"""Streamed text completion: events to the complete text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from deepseek_async.codec import finish_reason
from deepseek_async.codec.answer_check import error_in, fault_of_ending, fault_of_stream
from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.chunks import ChoicesReader
from deepseek_async.codec.text_buffer import MOST_APART, Pieces
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.text.quoting import quote
from deepseek_async.types import Completion, CompletionChoice, CompletionLogprobs, CompletionUsage
from deepseek_async.types.usage import in_chat_terms


class TextAssembly(msgspec.Struct, gc=False):
    """Folds events into one completion."""

    _head: Completion | None = None
    _choices: dict[int, CompletionChoice] = {}
    _texts: dict[int, Pieces] = {}
    usage: CompletionUsage | None = None
    oddly_ended_by: Completion | None = None
    """The chunk that ended a choice with an unknown finish reason; it may carry an error."""

    def add(self, chunks: Iterable[Completion]) -> bool:
        """Add events. Returns True if one carried text: progress, not a keep-alive."""
        progress = False
        for chunk in chunks:
            if self._head is None:
                self._head = msgspec.structs.replace(chunk, choices=[], _wire=b"", repaired=())
            if chunk.usage is not None:
                chunk.usage._origin = (chunk._wire, ("usage",))  # noqa: SLF001
                self.usage = chunk.usage = in_chat_terms(chunk.usage)
            for choice in chunk.choices:
                kept = self._choices.setdefault(choice.index, CompletionChoice(index=choice.index))
                if choice.text:
                    texts = self._texts.get(choice.index)
                    if texts is None:
                        texts = self._texts[choice.index] = Pieces()
                    texts.latest.append(choice.text)
                    if len(texts.latest) > MOST_APART:
                        texts.pack()
                    progress = True
                if choice.finish_reason is not None and finish_reason.ends(choice):
                    kept.finish_reason, kept.native_finish_reason = choice.finish_reason, choice.native_finish_reason
                    if kept.finish_reason not in finish_reason.ENDED:
                        self.oddly_ended_by = chunk
                if choice.logprobs is not None:
                    kept.logprobs = _joined(kept.logprobs, choice.logprobs)
        return progress

    @property
    def model(self) -> str | None:
        """Name of the answering model, if the server reported it."""
        return (self._head.model or None) if self._head is not None else None

    @property
    def finish_reasons(self) -> list[str | None]:
        """Finish reason of every choice so far; None for one that has not ended."""
        return [choice.finish_reason for choice in self._choices.values()]

    @property
    def size(self) -> int:
        """Characters of text so far."""
        return sum(texts.size for texts in self._texts.values())

    @property
    def text(self) -> str:
        """Text of the first choice so far."""
        return self._text(0)

    def _text(self, index: int) -> str:
        texts = self._texts.get(index)
        return "" if texts is None else texts.text

    def completion(self) -> Completion:
        """Return what has arrived so far, as one completion."""
        choices = [
            msgspec.structs.replace(self._choices[index], text=self._text(index)) for index in sorted(self._choices)
        ]
        return msgspec.structs.replace(self._head or Completion(), choices=choices, usage=self.usage)


class TextReader(ChoicesReader[Completion, Completion]):
    """Reader of a streamed text completion."""

    _decoder: ClassVar = AnswerDecoder(Completion)
    _silence: ClassVar = CompletionChoice
    assembly: TextAssembly = msgspec.field(default_factory=TextAssembly)
    _decode: Any = _decoder.decode_strictly

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``. An empty text is valid: a gap may be filled with nothing."""
        del progressed
        return fault_of_stream(self.assembly.finish_reasons)

    def leave_in(self, failure: APIError) -> None:
        """See ``StreamReader.leave_in``."""
        failure.received_text = self.assembly.text

    def says_nothing(self, chunk: Completion) -> bool:
        """See ``StreamReader.says_nothing``."""
        return not any(choice.text for choice in chunk.choices)


def fault_of_text(completion: Completion, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Return why ``completion`` is not a valid answer, or None."""
    if not completion.choices:
        return error_in(completion, headers, now=now) or APIResponseValidationError(
            f"the server's answer has no choices: {quote(completion.encoded())}",
        )
    for choice in completion.choices:
        fault = fault_of_ending(choice.finish_reason)
        if fault is not None:
            fault.received_text = choice.text
            return fault
    return None


def _joined(kept: CompletionLogprobs | None, added: CompletionLogprobs) -> CompletionLogprobs:
    if kept is None:
        return msgspec.structs.replace(
            added,
            tokens=[*added.tokens],
            token_logprobs=[*added.token_logprobs],
            top_logprobs=None if added.top_logprobs is None else [*added.top_logprobs],
            text_offset=[*added.text_offset],
        )
    kept.tokens += added.tokens
    kept.token_logprobs += added.token_logprobs
    kept.text_offset += added.text_offset
    if added.top_logprobs is not None:
        kept.top_logprobs = kept.top_logprobs or []
        kept.top_logprobs += added.top_logprobs
    return kept
