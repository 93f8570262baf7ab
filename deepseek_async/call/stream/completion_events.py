"""Events of ``chat.completions.stream()``, by openai-python's names, and what makes them of chunks. Pure.

Snapshots are put together when they are looked at: a long answer would otherwise be copied once for each of its pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from deepseek_async.codec.partial_json import PartialReader
from deepseek_async.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    TokenLogprob,
    ToolCallDelta,
)
from deepseek_async.types.answer_part import OURS, Part

T = TypeVar("T")
PieceT = TypeVar("PieceT")


class _Snapshot(msgspec.Struct, Generic[PieceT], gc=False):
    """The first ``length`` of pieces that are still being added to."""

    pieces: list[PieceT]
    length: int

    def taken(self) -> list[PieceT]:
        return self.pieces[: self.length]


class _Event(Part, kw_only=True):
    seen: ClassVar[tuple[str, ...]] = ()
    """Properties that belong to a dump."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the fields as a dict of plain values, the snapshot included."""
        dumped = super().model_dump(**options)
        for name in self.seen:
            value = getattr(self, name)
            dumped[name] = value.model_dump() if isinstance(value, Part) else value
        return dumped


class _TextDelta(_Event, kw_only=True):
    seen: ClassVar[tuple[str, ...]] = ("snapshot",)
    delta: str
    so_far: _Snapshot[str] = msgspec.field(name=OURS + "so_far")

    @property
    def snapshot(self) -> str:
        """The text up to here."""
        return "".join(self.so_far.taken())


class ChunkEvent(_Event, kw_only=True):
    """A chunk, before the events that it makes."""

    seen: ClassVar[tuple[str, ...]] = ("snapshot",)
    type: Literal["chunk"] = "chunk"
    chunk: ChatCompletionChunk
    look: Callable[[], ChatCompletion] = msgspec.field(name=OURS + "look")

    @property
    def snapshot(self) -> ChatCompletion:
        """The answer as far as it has arrived."""
        return self.look()


class ContentDeltaEvent(_TextDelta, kw_only=True):
    """A piece of the answer."""

    seen: ClassVar[tuple[str, ...]] = ("snapshot", "parsed")
    type: Literal["content.delta"] = "content.delta"
    grows: bool = msgspec.field(default=False, name=OURS + "grows")

    @property
    def parsed(self) -> object | None:
        """What has arrived of the object, as plain JSON values; None without a class as ``response_format``."""
        return _grown_value(self.snapshot) if self.grows else None


class ContentDoneEvent(_Event, Generic[T], kw_only=True):
    """The whole text of the answer."""

    type: Literal["content.done"] = "content.done"
    content: str
    parsed: T | None = None
    """The object, with a class as ``response_format``; None if the text does not fit, which raises at the end."""


class RefusalDeltaEvent(_TextDelta, kw_only=True):
    """A piece of a refusal."""

    type: Literal["refusal.delta"] = "refusal.delta"


class RefusalDoneEvent(_Event, kw_only=True):
    """The whole refusal."""

    type: Literal["refusal.done"] = "refusal.done"
    refusal: str


class FunctionToolCallArgumentsDeltaEvent(_Event, kw_only=True):
    """A piece of a function call's arguments."""

    seen: ClassVar[tuple[str, ...]] = ("arguments", "parsed_arguments")
    type: Literal["tool_calls.function.arguments.delta"] = "tool_calls.function.arguments.delta"
    name: str
    index: int
    arguments_delta: str
    grows: bool = msgspec.field(default=False, name=OURS + "grows")
    so_far: _Snapshot[str] = msgspec.field(name=OURS + "so_far")

    @property
    def arguments(self) -> str:
        """The JSON text up to here."""
        return "".join(self.so_far.taken())

    @property
    def parsed_arguments(self) -> object | None:
        """What has arrived of the arguments, as plain JSON values; None for a tool whose arguments are not parsed."""
        return _grown_value(self.arguments) if self.grows else None


class FunctionToolCallArgumentsDoneEvent(_Event, kw_only=True):
    """A whole function call."""

    type: Literal["tool_calls.function.arguments.done"] = "tool_calls.function.arguments.done"
    name: str
    index: int
    arguments: str
    parsed_arguments: object | None = None
    """The arguments of a tool with ``strict``, or the object of the class that made it."""


class LogprobsContentDeltaEvent(_Event, kw_only=True):
    """Log probabilities of a piece."""

    seen: ClassVar[tuple[str, ...]] = ("snapshot",)
    type: Literal["logprobs.content.delta"] = "logprobs.content.delta"
    content: list[TokenLogprob]
    so_far: _Snapshot[TokenLogprob] = msgspec.field(name=OURS + "so_far")

    @property
    def snapshot(self) -> list[TokenLogprob]:
        """Those up to here."""
        return self.so_far.taken()


class LogprobsContentDoneEvent(_Event, kw_only=True):
    """Log probabilities of the whole answer."""

    type: Literal["logprobs.content.done"] = "logprobs.content.done"
    content: list[TokenLogprob]


ChatCompletionStreamEvent = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent[T]
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | FunctionToolCallArgumentsDeltaEvent
    | FunctionToolCallArgumentsDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
)


class _GrowingCall(msgspec.Struct):
    name: str = ""
    arguments: list[str] = []
    kind: str = "function"
    done: bool = False


class _Growing(msgspec.Struct):
    """A choice still being received."""

    content: list[str] = []
    refusal: list[str] = []
    logprobs: list[TokenLogprob] = []
    calls: dict[int, _GrowingCall] = {}
    current: int | None = None
    content_done: bool = False
    refusal_done: bool = False
    logprobs_done: bool = False


class CompletionEvents(Generic[T]):
    """Turns chunks into events."""

    def __init__(
        self,
        look: Callable[[], ChatCompletion],
        parse: Callable[[str], T | None] | None,
        parse_arguments: Callable[[str, str], object],
        parses: Callable[[str], bool],
    ) -> None:
        """``parse``: for an answer of a class; ``parses``: whether the arguments of a function are parsed."""
        self._look = look
        self._parse = parse
        self._parse_arguments = parse_arguments
        self._parses = parses
        self._choices: dict[int, _Growing] = {}

    def of(self, chunk: ChatCompletionChunk) -> Iterator[ChatCompletionStreamEvent[T]]:
        """Yield the events of ``chunk``, the chunk first."""
        yield ChunkEvent(chunk=chunk, look=self._look)
        for choice in chunk.choices:
            growing = self._choices.get(choice.index)
            if growing is None:
                growing = self._choices[choice.index] = _Growing()
            yield from self._deltas(growing, choice)
            yield from self._endings(growing, choice)

    def _deltas(self, growing: _Growing, choice: ChunkChoice) -> Iterator[ChatCompletionStreamEvent[T]]:
        delta = choice.delta
        if delta.content is not None:
            growing.content.append(delta.content)
            grows = self._parse is not None
            yield ContentDeltaEvent(delta=delta.content, grows=grows, so_far=_upto(growing.content))
        if delta.refusal is not None:
            growing.refusal.append(delta.refusal)
            yield RefusalDeltaEvent(delta=delta.refusal, so_far=_upto(growing.refusal))
        for piece in delta.tool_calls or ():
            call = _grown(growing, piece)
            if call.kind == "function":
                yield FunctionToolCallArgumentsDeltaEvent(
                    name=call.name,
                    index=piece.index,
                    arguments_delta=call.arguments[-1],
                    grows=self._parses(call.name),
                    so_far=_upto(call.arguments),
                )
        if choice.logprobs is not None and choice.logprobs.content:
            growing.logprobs.extend(choice.logprobs.content)
            yield LogprobsContentDeltaEvent(content=choice.logprobs.content, so_far=_upto(growing.logprobs))

    def _endings(self, growing: _Growing, choice: ChunkChoice) -> Iterator[ChatCompletionStreamEvent[T]]:
        if choice.finish_reason:
            yield from self._content_ends(growing)
            yield from self._call_ends(growing)
        for piece in choice.delta.tool_calls or ():
            if growing.current != piece.index:
                yield from self._content_ends(growing)
                yield from self._call_ends(growing)
            growing.current = piece.index
        if choice.finish_reason:
            yield from self._call_ends(growing)  # one that came with the end

    def _content_ends(self, growing: _Growing) -> Iterator[ChatCompletionStreamEvent[T]]:
        content = "" if growing.content_done else "".join(growing.content)
        if content:
            growing.content_done = True
            yield ContentDoneEvent(content=content, parsed=None if self._parse is None else self._parse(content))
        if growing.refusal and not growing.refusal_done:
            growing.refusal_done = True
            yield RefusalDoneEvent(refusal="".join(growing.refusal))
        if growing.logprobs and not growing.logprobs_done:
            growing.logprobs_done = True
            yield LogprobsContentDoneEvent(content=list(growing.logprobs))

    def _call_ends(self, growing: _Growing) -> Iterator[FunctionToolCallArgumentsDoneEvent]:
        call = None if growing.current is None else growing.calls[growing.current]
        if growing.current is None or call is None or call.done or call.kind != "function":
            return
        call.done = True
        arguments = "".join(call.arguments)
        yield FunctionToolCallArgumentsDoneEvent(
            name=call.name,
            index=growing.current,
            arguments=arguments,
            parsed_arguments=self._parse_arguments(call.name, arguments),
        )


def _grown_value(text: str) -> object | None:
    reader = PartialReader()
    reader.feed(text)
    value: object | None = reader.partial()
    return value


def _upto(pieces: list[PieceT]) -> _Snapshot[PieceT]:
    return _Snapshot(pieces, len(pieces))


def _grown(growing: _Growing, piece: ToolCallDelta) -> _GrowingCall:
    call = growing.calls.get(piece.index)
    if call is None:
        call = growing.calls[piece.index] = _GrowingCall()
    call.kind = piece.type or call.kind
    function = piece.function
    call.name += (function.name or "") if function is not None and not call.name else ""
    call.arguments.append((function.arguments or "") if function is not None else "")
    return call
