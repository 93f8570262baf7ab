"""Typed events of a streamed response, the same as those of a chat stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from deepseek_async.call.stream.deltas import AnswerEnd, ReasoningDelta, StreamEvent, TextDelta, ToolArgumentsDelta
from deepseek_async.call.stream.service_steps import AnswerWithdrawn, TitleGiven, UnknownDelta, step
from deepseek_async.codec.responses import ENDINGS
from deepseek_async.types import ResponseStreamEvent

_TEXT: Final = "response.output_text.delta"
_REASONING: Final = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})
_ARGUMENTS: Final = "response.function_call_arguments.delta"
_ITEM: Final = "response.output_item.added"
_ITEM_EVENTS: Final = frozenset({_ITEM, "response.output_item.done"})
_ITEMS: Final = frozenset({"message", "reasoning", "function_call"})
_REPEATING: Final = frozenset(
    {
        "response.created",
        "response.in_progress",
        "response.queued",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.reasoning_text.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.refusal.delta",
        "response.refusal.done",
        "response.function_call_arguments.done",
    },
)
"""Events that repeat others, or whose content is taken from the complete answer."""


def events_of(event: ResponseStreamEvent) -> Iterator[StreamEvent]:
    """Yield the typed events of ``event``; none for events that repeat others."""
    kind = event.type
    if kind == _TEXT:
        yield TextDelta(event.delta)
    elif kind in _REASONING:
        yield ReasoningDelta(event.delta)
    elif kind == _ARGUMENTS:
        yield ToolArgumentsDelta(event.output_index, None, None, event.delta)
    elif kind in _ITEM_EVENTS:
        yield from _item(event, begins=kind == _ITEM)
    elif kind in ENDINGS:
        yield from _ending(event)
    elif kind not in _REPEATING and not _is_step_of_item(kind):
        yield UnknownDelta(event.to_dict())


def _item(event: ResponseStreamEvent, *, begins: bool) -> Iterator[StreamEvent]:
    item = event.item
    if item is None or item.type in _ITEMS or item.is_message:
        if begins and item is not None and item.type == "function_call":
            yield ToolArgumentsDelta(event.output_index, item.call_id, item.name, "")
        return
    raw = event.to_dict().get("item") or {}
    found = step(raw)
    if found is None:
        yield UnknownDelta(raw)
    elif begins:
        yield found


def _is_step_of_item(kind: str) -> bool:
    """Whether ``kind`` belongs to a search already reported by its item (``response.web_search_call.searching``)."""
    return step({"type": kind}) is not None


def _ending(event: ResponseStreamEvent) -> Iterator[StreamEvent]:
    response = event.response
    if response is None:
        return
    if response.title is not None:
        yield TitleGiven(response.title)
    if response.refused:
        yield AnswerWithdrawn()
    yield AnswerEnd(response.finish_reason or "", response.tokens_used())
