"""Responses format encoder: one JSON body, or events that end with a terminal event. Pure.

The format is OpenAI's; DeepSeek has served it since 2026-07-31, stateless and without `[DONE]`
(DeepSeek docs, Responses page).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from deepseek_async.simulator.wire import web_tool_results as web_shapes

if TYPE_CHECKING:
    from deepseek_async.simulator.model.answer import GeneratedAnswer
    from deepseek_async.simulator.wire.streaming import Envelope, UsagePlace

_COMPLETE = frozenset({"stop", "tool_calls"})
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_body(envelope: Envelope, answer: GeneratedAnswer, usage: dict[str, Any] | None) -> bytes:
    """Encode a plain response."""
    return orjson.dumps(_response(envelope, answer, usage))


def response_events(
    envelope: Envelope,
    answer: GeneratedAnswer,
    usage: dict[str, Any],
    *,
    include_usage: bool,  # noqa: ARG001 - always in the last event
    usage_place: UsagePlace = "last",
) -> list[bytes]:
    """Encode every event of a streamed response."""
    begun = {**_response(envelope, answer, None), "status": "in_progress", "output": []}
    begun |= {"error": None, "incomplete_details": None}
    last = _response(envelope, answer, None if usage_place == "missing" else usage)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(last["output"]):
        events += _item_events(index, item, answer)
    events.append({"type": f"response.{last['status']}", "response": last})
    return [
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps({**event, "sequence_number": number}))
        for number, event in enumerate(events)
    ]


def _item_events(index: int, item: dict[str, Any], answer: GeneratedAnswer) -> Iterator[dict[str, Any]]:
    place = {"output_index": index, "item_id": item["id"]}
    started = {**item, **({"status": "in_progress"} if "status" in item else {})}
    if item["type"] == "function_call":
        call = next(call for call in answer.calls if call.id == item["call_id"])
        name = "response.function_call_arguments"
        yield {"type": "response.output_item.added", "output_index": index, "item": {**started, "arguments": ""}}
        yield from ({"type": f"{name}.delta", **place, "delta": fragment} for fragment in call.fragments)
        yield {"type": f"{name}.done", **place, "name": call.name, "arguments": call.arguments}
    elif item["type"] not in ("reasoning", "message"):
        yield {"type": "response.output_item.added", "output_index": index, "item": started}
        if item["type"] == "web_search_call":
            for state in ("in_progress", "searching", "completed"):
                yield {"type": f"response.web_search_call.{state}", **place}
    else:
        part = item["content"][0]
        name = f"response.{part['type']}"
        pieces = (answer.reasoning or ()) if item["type"] == "reasoning" else answer.content
        place["content_index"] = 0
        yield {"type": "response.output_item.added", "output_index": index, "item": {**started, "content": []}}
        yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
        more: dict[str, Any] = {"logprobs": []} if item["type"] == "message" else {}
        yield from ({"type": f"{name}.delta", **place, "delta": piece, **more} for piece in pieces)
        yield {"type": f"{name}.done", **place, "text": part["text"], **more}
        yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _response(envelope: Envelope, answer: GeneratedAnswer, usage: dict[str, Any] | None) -> dict[str, Any]:
    reason = answer.finish_reason
    status = "completed" if reason in _COMPLETE else "incomplete" if reason in _INCOMPLETE else "failed"
    return {
        "id": f"resp_{envelope.id.replace('-', '')}",
        "object": "response",
        "created_at": envelope.created,
        "status": status,
        "error": None if status != "failed" else {"code": "server_error", "message": f"generation ended by {reason}"},
        "incomplete_details": {"reason": _INCOMPLETE[reason]} if status == "incomplete" else None,
        "instructions": None,
        "model": envelope.model,
        "output": list(_output(envelope, answer, "completed" if status == "completed" else "incomplete")),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "usage": None if usage is None else _usage(usage),
        **({} if answer.title is None else {"title": answer.title}),
    }


def _output(envelope: Envelope, answer: GeneratedAnswer, status: str) -> Iterator[dict[str, Any]]:
    number = envelope.id.replace("-", "")
    if answer.reasoning is not None:
        said = {"type": "reasoning_text", "text": "".join(answer.reasoning)}
        yield {"type": "reasoning", "id": f"rs_{number}", "summary": [], "content": [said]}
    web = answer.web
    if web is not None:
        yield from web_shapes.items(web, number)
    if answer.content:
        cited = web_shapes.citations(web, nested=False) if web is not None and web.shape != "links" else []
        spoken = {"type": "output_text", "text": "".join(answer.content), "annotations": cited, **answer.fields}
        message = {"type": "message", "id": f"msg_{number}", "status": status}
        yield {**message, "role": "assistant", "content": [spoken]}
    for index, call in enumerate(answer.calls):
        made = {"type": "function_call", "id": f"fc_{index:02d}_{number}", "status": status}
        yield {**made, "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the usage in this format."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": usage["prompt_cache_hit_tokens"]},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {
            "reasoning_tokens": usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0)
        },
        "total_tokens": usage["total_tokens"],
        **{name: usage[name] for name in ("server_tool_use",) if name in usage},
    }
