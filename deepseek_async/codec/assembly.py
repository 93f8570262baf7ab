"""Chunks, one after another, to the whole completion they make up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    Function,
    ToolCall,
    ToolCallDelta,
)

COMPLETE: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Finish reasons of an answer that is whole as far as it goes. Any other value, also an unknown one, is an
error: mapping ``insufficient_system_resource`` to ``stop`` would pass half an answer as a success."""

GAVE_UP: Final = frozenset({"insufficient_system_resource", "aborted"})
"""Finish reasons with which the server says that it stopped in the middle; the request may be sent again."""


_PIECES: Final = 256
"""Pieces of text kept apart. A piece of a few characters takes 60 bytes, which adds up over a thousand streams."""


class _Growing(msgspec.Struct, gc=False):
    """A choice that is still being received. Text is kept as pieces and joined when asked for."""

    index: int
    role: str
    content: list[str]
    reasoning: list[str] | None = None
    calls: dict[int, ToolCall] | None = None
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None

    def finished(self) -> Choice:
        return Choice(
            index=self.index,
            message=ChatCompletionMessage(
                role=self.role,
                content="".join(self.content),
                reasoning_content=None if self.reasoning is None else "".join(self.reasoning),
                tool_calls=[self.calls[index] for index in sorted(self.calls)] if self.calls else None,
            ),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs,
        )


class Assembly(msgspec.Struct, gc=False):
    """Folds chunks into one completion. ``add`` is on the hot path: each streamed chunk passes its loop once."""

    _head: ChatCompletionChunk | None = None
    _choices: dict[int, _Growing] = {}
    usage: CompletionUsage | None = None

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> bool:
        """Take chunks in. True if one carried content, reasoning or a tool call: progress, not a sign of life."""
        progress = False
        growing = None
        get = self._choices.get
        for chunk in chunks:
            if chunk.usage is not None:
                self.usage = chunk.usage
                self.usage._origin = (chunk._wire, ("usage",))  # noqa: SLF001
            for choice in chunk.choices:
                growing = get(choice.index) or self._start(chunk, choice)
                delta = choice.delta
                content = delta.content
                if content:
                    growing.content.append(content)
                    progress = True
                if delta.reasoning_content is not None:
                    progress = _add_reasoning(growing, delta.reasoning_content) or progress
                if delta.tool_calls:
                    _add_calls(growing, delta.tool_calls)
                    progress = True
                if choice.finish_reason is not None:
                    growing.finish_reason = choice.finish_reason
                if choice.logprobs is not None:
                    _add_logprobs(growing, choice.logprobs)
        if growing is not None and len(growing.content) > _PIECES:
            growing.content = ["".join(growing.content)]
        return progress

    def _start(self, chunk: ChatCompletionChunk, choice: ChunkChoice) -> _Growing:
        growing = _Growing(choice.index, choice.delta.role or "assistant", [])
        self._choices[choice.index] = growing
        if self._head is None:
            self._head = msgspec.structs.replace(chunk, choices=[], _wire=b"")
        return growing

    @property
    def finish_reasons(self) -> list[str | None]:
        """The finish reason of every choice seen, None for one that has not ended."""
        return [growing.finish_reason for growing in self._choices.values()]

    @property
    def says_nothing(self) -> bool:
        """Whether neither content nor a tool call has come; reasoning alone is no answer."""
        return not any(growing.content or growing.calls for growing in self._choices.values())

    @property
    def size(self) -> int:
        """Characters of content and reasoning so far."""
        choices = self._choices.values()
        return sum(sum(map(len, growing.content)) + sum(map(len, growing.reasoning or ())) for growing in choices)

    def completion(self) -> ChatCompletion:
        """What has arrived so far, as one completion."""
        head = self._head or ChatCompletionChunk()
        return ChatCompletion(
            id=head.id,
            created=head.created,
            model=head.model,
            choices=[self._choices[index].finished() for index in sorted(self._choices)],
            usage=self.usage,
            system_fingerprint=head.system_fingerprint,
        )


def _add_reasoning(growing: _Growing, text: str) -> bool:
    if growing.reasoning is None:
        growing.reasoning = []
    if text:
        growing.reasoning.append(text)
    return bool(text)


def _add_calls(growing: _Growing, deltas: list[ToolCallDelta]) -> None:
    if growing.calls is None:
        growing.calls = {}
    for delta in deltas:
        call = growing.calls.get(delta.index)
        if call is None:
            call = growing.calls[delta.index] = ToolCall(index=delta.index, function=Function())
        if delta.id:
            call.id = delta.id
        if delta.type:
            call.type = delta.type
        if delta.function is not None:
            if delta.function.name:
                call.function.name += delta.function.name
            if delta.function.arguments:
                call.function.arguments += delta.function.arguments


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
