"""A stored answer as the stream it might have come in. Pure."""

from __future__ import annotations

from typing import Any

from deepseek_async.types.json_text import read, write


def replay(body: bytes) -> bytes:
    """Server-sent events for the completion in ``body``: an opening, what it says, its ending, and ``[DONE]``."""
    completion: dict[str, Any] = read(body)
    if completion.get("object") == "text_completion":
        return b"data: " + write(completion) + b"\n\ndata: [DONE]\n\n"
    head = {name: value for name, value in completion.items() if name not in {"choices", "usage", "object"}}
    head["object"] = "chat.completion.chunk"
    events = [_event(head, [_opening(choice) for choice in completion["choices"]])]
    for choice in completion["choices"]:
        events += [_event(head, [_said(choice, delta)]) for delta in _deltas(choice["message"])]
    endings = [_ending(choice) for choice in completion["choices"]]
    events += [_event({**head, "usage": completion.get("usage")}, endings), b"data: [DONE]\n\n"]
    return b"".join(events)


def _event(head: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: " + write({**head, "choices": choices}) + b"\n\n"


def _opening(choice: dict[str, Any]) -> dict[str, Any]:
    return _said(choice, {"role": choice["message"].get("role", "assistant"), "content": ""})


def _said(choice: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": choice.get("index", 0), "delta": delta, "finish_reason": None, "logprobs": None}


def _ending(choice: dict[str, Any]) -> dict[str, Any]:
    # The probabilities of the whole answer, which a stream would have brought piece by piece.
    ended = {"finish_reason": choice.get("finish_reason"), "logprobs": choice.get("logprobs")}
    return {**_said(choice, {"content": ""}), **ended}


def _deltas(message: dict[str, Any]) -> list[dict[str, Any]]:
    deltas = [{name: message[name]} for name in ("reasoning_content", "content") if message.get(name)]
    calls = message.get("tool_calls") or []
    if calls:
        deltas.append({"tool_calls": [{"index": position, **call} for position, call in enumerate(calls)]})
    return deltas
