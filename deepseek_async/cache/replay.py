"""Replay of a cached answer as a stream. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from deepseek_async.types.json_text import read, write

_KINDS: Final = {
    "output_text": "output_text",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
"""Event types with a part of an item."""


_PIECES: Final = {
    "text": ("text", "text_delta"),
    "thinking": ("thinking", "thinking_delta"),
    "tool_use": ("input", "input_json_delta"),
}
"""Per block type of a message: the streamed field and its delta type."""

_ENDING: Final = ("stop_reason", "stop_sequence", "title")
"""Message fields that are only known at the end."""

_TEXTS: Final = ("reasoning_content", "content", "refusal", "function_call")
_TOLD: Final = frozenset({*_TEXTS, "role", "tool_calls", "title"})
"""Message fields that have their own deltas; all others are sent unchanged."""
_ENDS: Final = frozenset({"index", "message"})
"""Choice fields that are sent before its end."""


def replay(body: bytes) -> bytes:
    """Return server-sent events for the answer in ``body``: start, content, end."""
    completion: dict[str, Any] = read(body)
    if is_message(completion):
        return _message(completion)
    if "output" in completion:
        return _response(completion)
    if any("text" in choice for choice in completion["choices"]):
        return b"data: " + write(completion) + b"\n\ndata: [DONE]\n\n"
    head = {name: value for name, value in completion.items() if name not in {"choices", "usage", "object"}}
    head["object"] = "chat.completion.chunk"
    events = [_event(head, [_opening(choice) for choice in completion["choices"]])]
    for choice in completion["choices"]:
        events += [_event(head, [_said(choice, delta)]) for delta in _deltas(choice.get("message") or {})]
    endings = [_ending(choice) for choice in completion["choices"]]
    events += [_event({**head, "usage": completion.get("usage")}, endings), b"data: [DONE]\n\n"]
    return b"".join(events)


def is_message(body: Mapping[str, Any]) -> bool:
    """Whether an answer has Anthropic's message format."""
    return body.get("type") == "message" and isinstance(body.get("content"), list)


def _event(head: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: " + write({**head, "choices": choices}) + b"\n\n"


def _response(response: dict[str, Any]) -> bytes:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(response.get("output") or ()):
        at = {"output_index": index, "item_id": item.get("id")}
        texts = {name: item[name] for name in ("content", "summary") if isinstance(item.get(name), list)}
        parts = [(part, name) for name in texts for part in texts[name] if isinstance(part, dict)]
        empty: dict[str, Any] = {name: [] for name in texts}
        if "arguments" in item:
            empty["arguments"] = ""
        events.append({"type": "response.output_item.added", **at, "item": {**item, **empty}})
        for position, (part, name) in enumerate(parts):
            kind = _KINDS.get(str(part.get("type")))
            if kind is not None and part.get("text"):
                place = {"summary_index" if name == "summary" else "content_index": position}
                events.append({"type": f"response.{kind}.delta", **at, **place, "delta": part["text"]})
                events.append({"type": f"response.{kind}.done", **at, **place, "text": part["text"]})
        if item.get("arguments"):
            arguments = item["arguments"]
            events.append({"type": "response.function_call_arguments.delta", **at, "delta": arguments})
            events.append({"type": "response.function_call_arguments.done", **at, "arguments": arguments})
        events.append({"type": "response.output_item.done", **at, "item": item})
    ending = "response.completed" if response.get("status") == "completed" else "response.incomplete"
    events.append({"type": ending, "response": response})
    return _named({**event, "sequence_number": number} for number, event in enumerate(events))


def _named(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), write(event)) for event in events)


def _message(message: dict[str, Any]) -> bytes:
    ending = {name: message[name] for name in _ENDING if name in message}
    head = {name: value for name, value in message.items() if name not in _ENDING}
    begun: dict[str, Any] = {**head, "content": [], "stop_reason": None, "stop_sequence": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        if not isinstance(block, dict):
            continue
        at = {"index": index}
        field, kind = _PIECES.get(str(block.get("type")), ("", ""))
        said = block.get(field)
        if kind == "input_json_delta" and isinstance(said, dict):
            opened, delta = {**block, field: {}}, {"type": kind, "partial_json": write(said).decode()}
        elif kind and isinstance(said, str):
            opened, delta = {**block, field: ""}, {"type": kind, field: said}
        else:
            opened, delta = block, None
        events.append({"type": "content_block_start", **at, "content_block": opened})
        if delta is not None:
            events.append({"type": "content_block_delta", **at, "delta": delta})
        events.append({"type": "content_block_stop", **at})
    last = {"usage": message["usage"]} if message.get("usage") is not None else {}
    return _named([*events, {"type": "message_delta", "delta": ending, **last}, {"type": "message_stop"}])


def _opening(choice: dict[str, Any]) -> dict[str, Any]:
    return _said(choice, {"role": (choice.get("message") or {}).get("role", "assistant"), "content": ""})


def _said(choice: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": choice.get("index", 0), "delta": delta, "finish_reason": None, "logprobs": None}


def _ending(choice: dict[str, Any]) -> dict[str, Any]:
    # Log probabilities of the whole answer, which a stream sends in pieces.
    ended = {name: value for name, value in choice.items() if name not in _ENDS}
    title = (choice.get("message") or {}).get("title")
    delta = {"content": ""} if title is None else {"content": "", "title": title}
    return {**_said(choice, delta), **ended}


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas = [{name: message[name]} for name in _TEXTS if message.get(name)]
    deltas += [{name: value} for name, value in message.items() if name not in _TOLD]
    calls = message.get("tool_calls") or []
    if calls:
        deltas.append({"tool_calls": [{"index": position, **call} for position, call in enumerate(calls)]})
    return deltas
