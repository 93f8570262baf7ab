"""Typed events of a streamed message, the same as those of a chat stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from deepseek_async.call.stream.deltas import ReasoningDelta, StreamEvent, TextDelta, ToolArgumentsDelta
from deepseek_async.call.stream.service_steps import AnswerWithdrawn, TitleGiven, UnknownDelta, step
from deepseek_async.types import EventDelta, MessageStreamEvent
from deepseek_async.types.json_text import read
from deepseek_async.types.message import BLOCKS

_SILENT: Final = frozenset({"message_start", "content_block_stop", "message_stop", "ping"})
_KNOWN_DELTAS: Final = frozenset({"signature_delta", "citations_delta", "input_json_delta"})


class MessageDeltas:
    """Event decoder of one stream; a search query, which comes in pieces, is reported once it is complete."""

    def __init__(self) -> None:
        self._steps: dict[int | None, tuple[Mapping[str, Any], list[str]]] = {}
        self._calls: set[int | None] = set()

    def events_of(self, event: MessageStreamEvent) -> Iterator[StreamEvent]:
        """Yield the typed events of ``event``; none for opening, closing and ending events."""
        match event.type:
            case "content_block_delta" if event.delta is not None:
                yield from self._delta(event, event.delta)
            case "content_block_start":
                yield from self._start(event)
            case "content_block_stop" if event.index in self._steps:
                yield from self._step(*self._steps.pop(event.index))
            case "message_delta" if event.delta is not None:
                if event.delta.title:
                    yield TitleGiven(event.delta.title)
                if event.delta.stop_reason == "refusal":
                    yield AnswerWithdrawn()
            case kind if kind not in _SILENT:
                yield UnknownDelta(event.to_dict())

    def _start(self, event: MessageStreamEvent) -> Iterator[StreamEvent]:
        raw = event.to_dict().get("content_block")
        if not isinstance(raw, dict):
            return
        text, thought = raw.get("text"), raw.get("thinking")
        if step(raw) is not None:
            self._steps[event.index] = raw, []
        elif raw.get("type") == "tool_use":
            self._calls.add(event.index)
            yield ToolArgumentsDelta(event.index or 0, raw.get("id"), raw.get("name"), "")
        elif raw.get("type") not in BLOCKS:
            yield UnknownDelta(raw)
        elif isinstance(text, str) and text:
            yield TextDelta(text)
        elif isinstance(thought, str) and thought:
            yield ReasoningDelta(thought)

    def _delta(self, event: MessageStreamEvent, delta: EventDelta) -> Iterator[StreamEvent]:
        if delta.text:
            yield TextDelta(delta.text)
        elif delta.thinking:
            yield ReasoningDelta(delta.thinking)
        elif delta.partial_json and event.index in self._steps:
            self._steps[event.index][1].append(delta.partial_json)
        elif delta.partial_json and event.index in self._calls:
            yield ToolArgumentsDelta(event.index or 0, None, None, delta.partial_json)
        elif delta.type not in _KNOWN_DELTAS and not delta.type.startswith(("text", "thinking")):
            yield UnknownDelta(delta.to_dict())

    @staticmethod
    def _step(block: Mapping[str, Any], pieces: list[str]) -> Iterator[StreamEvent]:
        if pieces:
            with suppress(ValueError, RecursionError):  # truncated JSON
                block = {**block, "input": read("".join(pieces).encode())}
        found = step(block)
        if found is not None:
            yield found
