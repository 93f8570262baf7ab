"""What a chunk adds, told apart: answer, reasoning, tool calls, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from deepseek_async.call.stream.steps import AnswerWithdrawn, Step, TitleGiven, step, steps_in
from deepseek_async.types import ChatCompletionChunk, CompletionUsage


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """More of the answer."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False, tag="reasoning"):
    """More of the model's reasoning, which comes before the answer."""

    text: str


class ToolArgumentsDelta(msgspec.Struct, frozen=True, gc=False, tag="tool_arguments"):
    """A tool call that begins, or more of its arguments.

    Fragments end anywhere, also inside a string: parse ``stream.completion``'s arguments, not these.
    """

    index: int
    """Which call; fragments of one call have the same index."""
    id: str | None
    """Set on the first fragment of a call."""
    name: str | None
    """Set on the first fragment of a call."""
    arguments: str
    """JSON text; empty on the first fragment."""


class AnswerEnd(msgspec.Struct, frozen=True, gc=False, tag="end"):
    """The answer has ended."""

    finish_reason: str
    """stop, length, tool_calls or content_filter."""
    usage: CompletionUsage | None
    """Tokens, when they came with the ending."""


StreamEvent = TextDelta | ReasoningDelta | ToolArgumentsDelta | AnswerEnd | Step


_OURS: Final = (None, "", "function")
"""Types of calls whose arguments are for a function of the caller's."""


def events_of(chunk: ChatCompletionChunk) -> Iterator[StreamEvent]:
    """What ``chunk`` adds, reasoning before text, as the model made them; nothing for an opening chunk."""
    if chunk.undeclared is not None:
        for came in chunk.undeclared.choices:
            yield from steps_in({**came.delta, **({"content": came.blocks} if came.blocks else {})})
    for choice in chunk.choices:
        delta = choice.delta
        if delta.reasoning_content:
            yield ReasoningDelta(delta.reasoning_content)
        if delta.content:
            yield TextDelta(delta.content)
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
            )
        if delta.title:
            yield TitleGiven(delta.title)
        if choice.finish_reason is not None:
            if choice.finish_reason == "content_filter":
                yield AnswerWithdrawn()
            yield AnswerEnd(choice.finish_reason, chunk.usage)
