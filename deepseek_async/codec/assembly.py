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
from deepseek_async.unicode import joined

COMPLETE: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Finish reasons of an answer that is whole as far as it goes. Any other value, also an unknown one, is an
error: mapping ``insufficient_system_resource`` to ``stop`` would pass half an answer as a success."""

GAVE_UP: Final = frozenset({"insufficient_system_resource", "aborted"})
"""Finish reasons with which the server says that it stopped in the middle; the request may be sent again."""


_PIECES: Final = 256
"""Pieces of text kept apart. A piece of a few characters takes 60 bytes, which adds up over a thousand streams."""


class _GrowingCall(msgspec.Struct, gc=False):
    """A call that is still being received."""

    index: int
    id: str = ""
    type: str = "function"
    name: str = ""
    arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        """Take a fragment in."""
        self.id = delta.id or self.id
        self.type = delta.type or self.type
        function = delta.function
        if function is None:
            return
        # Some servers send a name in pieces, and some send all of it in every fragment.
        if function.name and not (function.name == self.name and (delta.id or self.arguments)):
            self.name += function.name
        if function.arguments:
            self.arguments.append(function.arguments)
            if len(self.arguments) > _PIECES:
                self.arguments = ["".join(self.arguments)]

    def finished(self) -> ToolCall:
        function = Function(name=self.name, arguments=joined("".join(self.arguments)))
        return ToolCall(id=self.id, type=self.type, function=function, index=self.index)


class _GrowingCalls(msgspec.Struct, gc=False):
    """The calls of a choice. What belongs together is told by the id where there is one, else by the index.

    Gateways count in their own ways: two calls under one index, none at all, a head and its tail under two.
    """

    calls: list[_GrowingCall] = []
    at: dict[int, _GrowingCall] = {}
    """The latest call under each index."""

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Take fragments in."""
        for delta in deltas:
            self._call_of(delta).add(delta)

    def _call_of(self, delta: ToolCallDelta) -> _GrowingCall:
        there = self.at.get(delta.index)
        named = delta.function is not None and bool(delta.function.name)
        if there is not None and (not delta.id or there.id in {"", delta.id}):
            return there
        if not delta.id and not named and self.calls:
            there = self.calls[-1]  # the tail of a call whose head came under another index
        elif delta.id and not (named and there is None):
            there = next((call for call in self.calls if call.id == delta.id), None)
        else:
            there = None
        if there is not None:
            self.at[delta.index] = there
            return there
        taken = {call.index for call in self.calls}
        index = delta.index if delta.index not in taken else max(taken) + 1
        started = _GrowingCall(index)
        self.calls.append(started)
        self.at[delta.index] = started
        return started

    def finished(self) -> list[ToolCall]:
        return [call.finished() for call in sorted(self.calls, key=lambda call: call.index)]


class _Growing(msgspec.Struct, gc=False):
    """A choice that is still being received. Text is kept as pieces and joined when asked for."""

    index: int
    role: str
    content: list[str]
    reasoning: list[str] | None = None
    calls: _GrowingCalls | None = None
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None

    @property
    def size(self) -> int:
        calls = self.calls.calls if self.calls is not None else ()
        said = sum(len(call.name) + sum(map(len, call.arguments)) for call in calls)
        return said + sum(map(len, self.content)) + sum(map(len, self.reasoning or ()))

    def finished(self) -> Choice:
        return Choice(
            index=self.index,
            message=ChatCompletionMessage(
                role=self.role,
                content=joined("".join(self.content)),
                reasoning_content=None if self.reasoning is None else joined("".join(self.reasoning)),
                tool_calls=None if self.calls is None else self.calls.finished(),
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
                    growing.calls = growing.calls or _GrowingCalls()
                    growing.calls.add(delta.tool_calls)
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
    def model(self) -> str | None:
        """Who answers, if the server has said so."""
        return (self._head.model or None) if self._head is not None else None

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
        """Characters of content, reasoning and tool calls so far."""
        return sum(growing.size for growing in self._choices.values())

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
