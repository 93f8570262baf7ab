"""Assembly of chunks into a complete chat completion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from deepseek_async.codec import finish_reason
from deepseek_async.codec.growing_calls import GrowingCalls, GrowingFunction
from deepseek_async.codec.text_buffer import MOST_APART, Pieces
from deepseek_async.codec.text_forms import parted, without_blocks
from deepseek_async.codec.undeclared_fields import ChoiceFields, ChunkFields, Fields, add, renew, rewritten
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
)
from deepseek_async.types.server_tools import holds_block
from deepseek_async.types.usage import in_chat_terms


class _Undeclared(msgspec.Struct, gc=False):
    """Undeclared content of one choice."""

    fields: Fields = {}
    message: Fields = {}
    parts: list[tuple[int, int, Any]] = []
    """Content parts other than plain text, each with the start and end of its text."""

    def add(self, came: ChoiceFields, before: int) -> None:
        """Add the fields of one chunk; ``before`` is the number of content characters before it."""
        renew(self.fields, came.fields)
        add(self.message, came.delta)
        for part in came.blocks:
            after = before + _length(part)
            self.parts.append((before, after, part))
            before = after

    def content(self, text: str) -> list[Any]:
        """Return the content as it was sent, in parts."""
        parts, at = [], 0
        for begins, ends, part in self.parts:
            if begins > at:
                parts.append({"type": "text", "text": text[at:begins]})
            parts.append(part)
            at = ends
        return [*parts, {"type": "text", "text": text[at:]}] if at < len(text) else parts


def _length(part: Any) -> int:
    """Return the number of content characters in ``part``."""
    texts = without_blocks([part])
    said = parted(texts)[0] if texts else None
    return len(said or "")


class _Growing(msgspec.Struct, gc=False):
    """A choice still being received."""

    index: int
    role: str
    latest: list[str]
    """Latest pieces of ``content``; a plain list, because this is the hot path."""
    content: Pieces
    reasoning: Pieces | None = None
    refusal: Pieces | None = None
    calls: GrowingCalls | None = None
    function: GrowingFunction | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None
    title: str | None = None
    undeclared: _Undeclared | None = None

    @property
    def says(self) -> bool:
        """Whether it contains anything but reasoning."""
        return bool(self.content or self.calls or self.refusal or self.function) or (
            self.undeclared is not None and holds_block((self.undeclared.message, self.undeclared.parts))
        )

    @property
    def size(self) -> int:
        grown = (self.content, self.reasoning, self.refusal, self.calls, self.function)
        return sum(part.size for part in grown if part is not None)

    def finished(self) -> Choice:
        return Choice(
            index=self.index,
            message=ChatCompletionMessage(
                role=self.role,
                content=self.content.text,
                reasoning_content=None if self.reasoning is None else self.reasoning.text,
                tool_calls=None if self.calls is None else self.calls.finished(),
                refusal=None if self.refusal is None else self.refusal.text,
                function_call=None if self.function is None else self.function.finished(),
                title=self.title,
            ),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs,
            native_finish_reason=self.native_finish_reason,
        )

    def further(self) -> Fields:
        """Return what ``finished`` cannot hold, in the format of a choice."""
        calls = [] if self.calls is None else self.calls.further()
        message: Fields = {"tool_calls": calls} if any(calls) else {}
        if (undeclared := self.undeclared) is None:
            return {"message": message} if message else {}
        message.update(undeclared.message)
        if undeclared.parts:
            message["content"] = undeclared.content(self.content.text)
        return {**undeclared.fields, "message": message}


class Assembly(msgspec.Struct, gc=False):
    """Folds chunks into one completion. ``add`` is the hot path: one loop iteration per chunk."""

    _head: ChatCompletionChunk | None = None
    _choices: dict[int, _Growing] = {}
    usage: CompletionUsage | None = None
    oddly_ended_by: ChatCompletionChunk | None = None
    """The chunk that ended a choice with an unknown finish reason; it may carry an error."""
    _undeclared: Fields = {}
    """Undeclared fields of the chunks themselves."""

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> bool:
        """Add chunks. Returns True if one carried content, reasoning or a tool call: progress, not a keep-alive."""
        progress = False
        growing = None
        get = self._choices.get
        for chunk in chunks:
            if chunk.usage is not None:
                chunk.usage._origin = (chunk._wire, ("usage",))  # noqa: SLF001
                self.usage = chunk.usage = in_chat_terms(chunk.usage)
            for choice in chunk.choices:
                growing = get(choice.index) or self._start(chunk, choice)
                delta = choice.delta
                content = delta.content
                if content:
                    growing.latest.append(content)
                    progress = True
                elif delta.refusal or delta.function_call is not None or delta.title is not None:
                    progress = _add_rest(growing, delta) or progress
                if delta.reasoning_content is not None or delta.reasoning is not None:
                    progress = _add_reasoning(growing, delta) or progress
                if delta.tool_calls:
                    growing.calls = growing.calls or GrowingCalls()
                    growing.calls.add(delta.tool_calls)
                    progress = True
                if choice.finish_reason is not None:
                    _end(growing, choice)
                    if growing.finish_reason not in finish_reason.ENDED:
                        self.oddly_ended_by = chunk
                if choice.logprobs is not None:
                    _add_logprobs(growing, choice.logprobs)
        if growing is not None and len(growing.latest) > MOST_APART:
            growing.content.pack()
        return progress

    def extend(self, index: int, texts: Iterable[str], *, reasoning: bool) -> None:
        """Add texts of chunks that carry nothing else, to a choice that has some text of this kind."""
        growing = self._choices[index]
        pieces = growing.reasoning if reasoning and growing.reasoning is not None else growing.content
        pieces.latest.extend(texts)
        if len(pieces.latest) > MOST_APART:
            pieces.pack()

    def add_undeclared(self, came: ChunkFields, before: dict[int, int]) -> None:
        """Add the undeclared fields of a chunk already passed to ``add``.

        ``before`` is the number of content characters of each choice before it.
        """
        renew(self._undeclared, came.fields)
        for fields in came.choices:
            growing = self._choices.get(fields.index)
            if growing is not None:
                growing.undeclared = growing.undeclared or _Undeclared()
                growing.undeclared.add(fields, before.get(fields.index, 0))
                if growing.calls is not None:
                    growing.calls.add_undeclared(fields.calls)

    def lengths(self) -> dict[int, int]:
        """Return the number of content characters of each choice so far."""
        return {index: growing.content.size for index, growing in self._choices.items()}

    def _start(self, chunk: ChatCompletionChunk, choice: ChunkChoice) -> _Growing:
        latest: list[str] = []
        growing = _Growing(choice.index, choice.delta.role or "assistant", latest, Pieces(latest))
        self._choices[choice.index] = growing
        if self._head is None:
            self._head = msgspec.structs.replace(chunk, choices=[], _wire=b"", repaired=(), undeclared=None)
        return growing

    @property
    def model(self) -> str | None:
        """Name of the answering model, if the server reported it."""
        return (self._head.model or None) if self._head is not None else None

    @property
    def finish_reasons(self) -> list[str | None]:
        """Finish reason of every choice so far; None for one that has not ended."""
        return [growing.finish_reason for growing in self._choices.values()]

    @property
    def says_nothing(self) -> bool:
        """Whether neither content nor a tool call nor a refusal has arrived; reasoning alone is not an answer."""
        return not any(growing.says for growing in self._choices.values())

    @property
    def size(self) -> int:
        """Characters of content, reasoning and tool calls so far."""
        return sum(growing.size for growing in self._choices.values())

    def completion(self) -> ChatCompletion:
        """Return what has arrived so far, as one completion."""
        head = self._head or ChatCompletionChunk()
        grown = [self._choices[index] for index in sorted(self._choices)]
        completion = ChatCompletion(
            id=head.id,
            created=head.created,
            model=head.model,
            choices=[growing.finished() for growing in grown],
            usage=self.usage,
            system_fingerprint=head.system_fingerprint,
        )
        further = [growing.further() for growing in grown]
        if not (self._undeclared or any(further) or (self.usage is not None and self.usage.has_further)):
            return completion
        return rewritten(completion, {**self._undeclared, "choices": further})


def says(delta: ChoiceDelta) -> bool:
    """Whether ``delta`` carries model output, reasoning included."""
    said = delta.content or delta.reasoning_content or delta.tool_calls or delta.refusal or delta.function_call
    return bool(said or delta.title)


def _add_reasoning(growing: _Growing, delta: ChoiceDelta) -> bool:
    if delta.reasoning is not None:
        # Some servers send it under both names.
        delta.reasoning_content, delta.reasoning = delta.reasoning_content or delta.reasoning, None
    if growing.reasoning is None:
        growing.reasoning = Pieces()
    text = delta.reasoning_content
    if text:
        growing.reasoning.add(text)
    return bool(text)


def _add_rest(growing: _Growing, delta: ChoiceDelta) -> bool:
    """Add what may come instead of content."""
    if delta.title is not None:
        growing.title = delta.title
    if delta.refusal:
        growing.refusal = growing.refusal or Pieces()
        growing.refusal.add(delta.refusal)
    if delta.function_call is not None:
        if growing.function is None:
            growing.function = GrowingFunction()
        function = growing.function
        function.add(delta.function_call, repeated=bool(function.arguments))
    return bool(growing.refusal or growing.function)


def _end(growing: _Growing, choice: ChunkChoice) -> None:
    if not finish_reason.ends(choice):
        return
    growing.finish_reason = choice.finish_reason
    growing.native_finish_reason = choice.native_finish_reason
    if choice.delta.title is not None:
        growing.title = choice.delta.title


def _add_logprobs(growing: _Growing, added: ChoiceLogprobs) -> None:
    if growing.logprobs is None:
        growing.logprobs = ChoiceLogprobs()
    kept = growing.logprobs
    if added.content:
        kept.content = kept.content or []
        kept.content.extend(added.content)
    if added.reasoning_content:
        kept.reasoning_content = kept.reasoning_content or []
        kept.reasoning_content.extend(added.reasoning_content)
