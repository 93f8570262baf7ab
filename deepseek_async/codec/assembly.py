"""Chunks, one after another, to the whole completion they make up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from deepseek_async.codec import finish_reason
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    Function,
    FunctionDelta,
    ToolCall,
    ToolCallDelta,
)
from deepseek_async.types.json_text import read
from deepseek_async.types.usage import in_chat_terms
from deepseek_async.unicode import joined


class Pieces(msgspec.Struct, gc=False):
    """A text that comes in pieces, joined when asked for, at a cost that grows with its length alone.

    The latest are kept apart. A piece of a few characters takes 60 bytes, which adds up over a thousand streams.
    """

    latest: list[str] = []
    earlier: list[str] = []

    def add(self, piece: str) -> None:
        """Take a piece in."""
        self.latest.append(piece)
        if len(self.latest) > MOST_APART:
            self.pack()

    def pack(self) -> None:
        """Join the latest, and none that were joined before: those would be copied again and again."""
        self.earlier.append("".join(self.latest))
        self.latest.clear()

    def __bool__(self) -> bool:
        """Whether anything has come."""
        return bool(self.latest or self.earlier)

    @property
    def size(self) -> int:
        """Characters."""
        return sum(map(len, self.earlier)) + sum(map(len, self.latest))

    def ends_with(self, end: str) -> bool:
        """Whether the latest piece ends with it, blanks aside."""
        latest = self.latest or self.earlier
        return bool(latest) and latest[-1].rstrip().endswith(end)

    @property
    def text(self) -> str:
        """All of it."""
        return joined("".join(self.earlier) + "".join(self.latest))


MOST_APART: Final = 256
"""Pieces kept apart."""

_MOST_LOOKS: Final = 16
"""At the arguments of one call. Only a hostile server makes them look whole so often."""


class _GrowingFunction(msgspec.Struct, gc=False):
    """A function that is still being named, with its arguments."""

    name: Pieces = msgspec.field(default_factory=Pieces)
    arguments: Pieces = msgspec.field(default_factory=Pieces)

    def add(self, delta: FunctionDelta, *, repeated: bool) -> None:
        """Take a fragment in, which has the whole name again if it is ``repeated``."""
        if delta.name and not (repeated and self._is_named(delta.name)):
            self.name.add(delta.name)
        if delta.arguments:
            self.arguments.add(delta.arguments)

    def _is_named(self, name: str) -> bool:
        # No name is so long that it was packed.
        return not self.name.earlier and self.name.size == len(name) and self.name.text == name

    def __bool__(self) -> bool:
        """Whether anything has come."""
        return bool(self.name or self.arguments)

    @property
    def size(self) -> int:
        return self.name.size + self.arguments.size

    def finished(self) -> Function:
        return Function(name=self.name.text, arguments=self.arguments.text)


class _GrowingCall(msgspec.Struct, gc=False):
    """A call that is still being received."""

    index: int
    id: str = ""
    type: str = "function"
    function: _GrowingFunction = msgspec.field(default_factory=_GrowingFunction)
    looked: int = 0
    """How often its arguments were read to see whether they are whole."""

    def add(self, delta: ToolCallDelta) -> None:
        """Take a fragment in."""
        self.id = self.id or delta.id or ""
        self.type = delta.type or self.type
        if delta.function is not None:
            # Some servers send a name in pieces, and some send all of it in every fragment.
            self.function.add(delta.function, repeated=bool(delta.id or self.function.arguments))

    def is_before(self, delta: ToolCallDelta) -> bool:
        """Whether ``delta``, which names a function, begins another call: this one has all its arguments.

        Two objects in a row are no arguments, whatever id and index say (Gemini sends both empty).
        """
        function = delta.function
        if function is None or not (function.arguments or "").lstrip().startswith("{"):
            return False
        arguments = self.function.arguments
        # Most pieces end elsewhere, and to read all of a text for each of its pieces takes a square of time.
        if not arguments or self.looked == _MOST_LOOKS or not arguments.ends_with("}"):
            return False
        self.looked += 1
        return _is_json(arguments.text)

    def finished(self) -> ToolCall:
        return ToolCall(id=self.id, type=self.type, function=self.function.finished(), index=self.index)


class _GrowingCalls(msgspec.Struct, gc=False):
    """The calls of a choice. What belongs together is told by the id where there is one, else by the index.

    Gateways count in their own ways: two calls under one index, none at all, a head and its tail under two.
    """

    calls: list[_GrowingCall] = []
    at: dict[int, _GrowingCall] = {}
    """The latest call under each index."""
    named: dict[str, _GrowingCall] = {}
    """The first call under each id."""
    taken: dict[int, None] = {}
    """Indices of the calls."""
    next: int = 0
    """Above all of them."""

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Take fragments in."""
        for delta in deltas:
            call = self._call_of(delta)
            delta.index = call.index  # for whoever puts the fragments together by it
            call.add(delta)
            if delta.id:
                self.named.setdefault(delta.id, call)

    def _call_of(self, delta: ToolCallDelta) -> _GrowingCall:
        there = self.at.get(delta.index)
        named = delta.function is not None and bool(delta.function.name)
        if there is not None and self._goes_on(there, delta, named=named):
            return there
        if not delta.id and not named and self.calls:
            there = self.calls[-1]  # the tail of a call whose head came under another index
        elif delta.id and not (named and there is None):
            known = self.named.get(delta.id)
            there = None if known is there else known
        else:
            there = None
        if there is None:
            there = self._start(delta.index)
        self.at[delta.index] = there
        return there

    def _goes_on(self, there: _GrowingCall, delta: ToolCallDelta, *, named: bool) -> bool:
        """Whether ``delta`` is more of the call that is ``there``, under its index."""
        if named and there.is_before(delta):
            return False
        if not delta.id or there.id in {"", delta.id}:
            return True
        # No call begins without a name or an id alone: some servers make up an id for each fragment (OCI).
        arguments = delta.function is not None and delta.function.arguments
        return not named and self.named.get(delta.id, there if arguments else None) is there

    def _start(self, index: int) -> _GrowingCall:
        if index in self.taken:
            index = self.next
        self.taken[index] = None
        self.next = max(self.next, index + 1)
        started = _GrowingCall(index)
        self.calls.append(started)
        return started

    @property
    def size(self) -> int:
        return sum(call.function.size for call in self.calls)

    def finished(self) -> list[ToolCall]:
        return [call.finished() for call in sorted(self.calls, key=lambda call: call.index)]


class _Growing(msgspec.Struct, gc=False):
    """A choice that is still being received."""

    index: int
    role: str
    latest: list[str]
    """Pieces of ``content`` that have just come: on the hot path, a list within reach."""
    content: Pieces
    reasoning: Pieces | None = None
    refusal: Pieces | None = None
    calls: _GrowingCalls | None = None
    function: _GrowingFunction | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None

    @property
    def says(self) -> bool:
        """Whether there is anything but reasoning."""
        return bool(self.content or self.calls or self.refusal or self.function)

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
            ),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs,
            native_finish_reason=self.native_finish_reason,
        )


class Assembly(msgspec.Struct, gc=False):
    """Folds chunks into one completion. ``add`` is on the hot path: each streamed chunk passes its loop once."""

    _head: ChatCompletionChunk | None = None
    _choices: dict[int, _Growing] = {}
    usage: CompletionUsage | None = None
    oddly_ended_by: ChatCompletionChunk | None = None
    """What ended a choice in no known way; the error may stand beside it."""

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> bool:
        """Take chunks in. True if one carried content, reasoning or a tool call: progress, not a sign of life."""
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
                elif delta.refusal or delta.function_call is not None:
                    progress = _add_rest(growing, delta) or progress
                if delta.reasoning_content is not None or delta.reasoning is not None:
                    progress = _add_reasoning(growing, delta) or progress
                if delta.tool_calls:
                    growing.calls = growing.calls or _GrowingCalls()
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

    def _start(self, chunk: ChatCompletionChunk, choice: ChunkChoice) -> _Growing:
        latest: list[str] = []
        growing = _Growing(choice.index, choice.delta.role or "assistant", latest, Pieces(latest))
        self._choices[choice.index] = growing
        if self._head is None:
            self._head = msgspec.structs.replace(chunk, choices=[], _wire=b"", repaired=())
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
        """Whether neither content nor a tool call nor a refusal has come; reasoning alone is no answer."""
        return not any(growing.says for growing in self._choices.values())

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


def says(delta: ChoiceDelta) -> bool:
    """Whether ``delta`` carries anything that the model said or thought."""
    said = delta.content or delta.reasoning_content or delta.tool_calls or delta.refusal or delta.function_call
    return bool(said)


def _add_reasoning(growing: _Growing, delta: ChoiceDelta) -> bool:
    if delta.reasoning is not None:
        # Some send it under both names.
        delta.reasoning_content, delta.reasoning = delta.reasoning_content or delta.reasoning, None
    if growing.reasoning is None:
        growing.reasoning = Pieces()
    text = delta.reasoning_content
    if text:
        growing.reasoning.add(text)
    return bool(text)


def _add_rest(growing: _Growing, delta: ChoiceDelta) -> bool:
    """What takes the place of content."""
    if delta.refusal:
        growing.refusal = growing.refusal or Pieces()
        growing.refusal.add(delta.refusal)
    if delta.function_call is not None:
        if growing.function is None:
            growing.function = _GrowingFunction()
        function = growing.function
        function.add(delta.function_call, repeated=bool(function.arguments))
    return bool(growing.refusal or growing.function)


def _is_json(text: str) -> bool:
    try:
        read(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _end(growing: _Growing, choice: ChunkChoice) -> None:
    if not finish_reason.ends(choice):
        return
    growing.finish_reason = choice.finish_reason
    growing.native_finish_reason = choice.native_finish_reason


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
