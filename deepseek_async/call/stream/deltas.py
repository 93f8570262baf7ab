"""Events of a chat stream: text, reasoning, tool calls and the ending. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from deepseek_async.call.stream.service_steps import AnswerWithdrawn, Step, TitleGiven, step, steps_in
from deepseek_async.types import ChatCompletionChunk, CompletionUsage


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """More of the answer's text."""

    text: str
    choice: int = 0
    """Index of the choice, with ``n`` above 1."""


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False, tag="reasoning"):
    """More of the model's reasoning, which comes before the answer."""

    text: str
    choice: int = 0
    """Index of the choice, with ``n`` above 1."""


class ToolArgumentsDelta(msgspec.Struct, frozen=True, gc=False, tag="tool_arguments"):
    """Start of a tool call, or more of its arguments.

    Fragments end anywhere, also inside a string: parse the arguments of ``stream.completion`` instead.
    """

    index: int
    """Index of the call; the same for all its fragments."""
    id: str | None
    """Set on the first fragment of a call."""
    name: str | None
    """Set on the first fragment of a call."""
    arguments: str
    """JSON text; empty on the first fragment."""
    choice: int = 0
    """Index of the choice, with ``n`` above 1."""


class AnswerEnd(msgspec.Struct, frozen=True, gc=False, tag="end"):
    """The answer has ended."""

    finish_reason: str
    """``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
    usage: CompletionUsage | None
    """Token usage, if it came with the ending."""
    choice: int = 0
    """Index of the choice, with ``n`` above 1."""


StreamEvent = TextDelta | ReasoningDelta | ToolArgumentsDelta | AnswerEnd | Step


_OURS: Final = (None, "", "function")
"""Types of calls to the caller's functions."""


def events_of(chunk: ChatCompletionChunk) -> Iterator[StreamEvent]:
    """Yield the events of ``chunk``, reasoning before text; none for an opening chunk."""
    if chunk.undeclared is not None:
        for came in chunk.undeclared.choices:
            yield from steps_in({**came.delta, **({"content": came.blocks} if came.blocks else {})})
    for choice in chunk.choices:
        delta = choice.delta
        if delta.reasoning_content:
            yield ReasoningDelta(delta.reasoning_content, choice.index)
        if delta.content:
            yield TextDelta(delta.content, choice.index)
        for call in delta.tool_calls or ():
            function = call.function
            if call.type not in _OURS:
                made = step({"type": call.type, "name": function.name if function else None})
                if made is not None:
                    yield made
                continue
            yield ToolArgumentsDelta(
                call.index,
                call.id,
                function.name if function else None,
                (function.arguments if function else None) or "",
                choice.index,
            )
        if delta.title:
            yield TitleGiven(delta.title)
        if choice.finish_reason is not None:
            if choice.finish_reason == "content_filter":
                yield AnswerWithdrawn()
            yield AnswerEnd(choice.finish_reason, chunk.usage, choice.index)
