"""Bodies of answers as the service sends them, from what a test says of one. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

import msgspec

from deepseek_async.types.usage import CompletionUsage

BuiltCall = str | Mapping[str, Any]
"""A tool call: the name of the function, or ``{"name": …, "arguments": …, "id": …}`` with arguments as an object or as
JSON text."""

BuiltUsage = CompletionUsage | Mapping[str, Any]

BUILT_AT: Final = 1_795_450_000
"""Unix time of a built answer, in November 2026: always the same, so that tests are."""


class BuiltAnswer(TypedDict, total=False):
    """What a test says of an answer beside its text."""

    reasoning: str | None
    tool_calls: Sequence[BuiltCall]
    finish_reason: str | None
    """In chat's words; default ``stop``, or ``tool_calls`` if there are any."""
    usage: BuiltUsage | None
    """Counters in chat's words. By default one token for the prompt and one for each word of the answer."""
    model: str
    id: str


def calls_of(calls: Iterable[BuiltCall]) -> list[dict[str, Any]]:
    """Return tool calls in the API's form. Raises ValueError for a text, and for a call without a name."""
    if isinstance(calls, str):
        raise ValueError(f"tool_calls must be a list, got {calls!r}: write [{calls!r}]")  # noqa: TRY004  as for others
    return [_call(call, position) for position, call in enumerate(calls)]


def _call(call: BuiltCall, position: int) -> dict[str, Any]:
    said: Mapping[str, Any] = {"name": call} if isinstance(call, str) else call if isinstance(call, Mapping) else {}
    function = said.get("function") or said
    name, arguments = function.get("name"), function.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise ValueError(f"a tool call must be a name or a mapping with a name, got {call!r}")
    text = arguments if isinstance(arguments, str) else text_of(arguments)
    made = {"name": name, "arguments": text}
    return {"id": said.get("id", f"call_{position}"), "type": "function", "index": position, "function": made}


def text_of(value: Any) -> str:
    """Return a value, for example a pydantic model, a dataclass or a Struct, as JSON text."""
    dumped = getattr(value, "model_dump", None)
    plain = dumped(mode="json") if dumped is not None else msgspec.to_builtins(value)
    return json.dumps(plain, ensure_ascii=False)


def usage_of(content: str | None, answer: BuiltAnswer) -> dict[str, Any]:
    """Return a usage in which the counters that depend on others are consistent.

    Zero tokens would be corrected by a client that reads the answer: what is not said is one for each word.
    """
    usage = answer.get("usage")
    said = usage.counters() if isinstance(usage, CompletionUsage) else dict(usage or {})
    words = len(f"{content or ''} {answer.get('reasoning') or ''}".split()) + len(answer.get("tool_calls", ()))
    prompt, completion = said.get("prompt_tokens", 1), said.get("completion_tokens", max(1, words))
    hit = said.get("prompt_cache_hit_tokens", 0)
    sums = {"total_tokens": prompt + completion, "prompt_cache_miss_tokens": prompt - hit}
    counters = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_cache_hit_tokens": hit}
    return {**counters, **sums, **said}


def completion_body(content: str | None, said: BuiltAnswer) -> dict[str, Any]:
    """Return the body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if (reasoning := said.get("reasoning")) is not None:
        message["reasoning_content"] = reasoning
    if calls := said.get("tool_calls"):
        message["tool_calls"] = calls_of(calls)
    choice = {"index": 0, "message": message, "finish_reason": finish_of(said)}
    name, model = id_and_model(said)
    head = {"id": name, "object": "chat.completion", "created": BUILT_AT, "model": model}
    return {**head, "choices": [choice], "usage": usage_of(content, said)}


def id_and_model(said: BuiltAnswer) -> tuple[str, str]:
    """Return the identity of the answer."""
    return said.get("id", "built"), said.get("model", "deepseek-flash")


def finish_of(said: BuiltAnswer) -> str:
    """Return the finish reason in chat's words."""
    return said.get("finish_reason") or ("tool_calls" if said.get("tool_calls") else "stop")


def chunk_bodies(completion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the chunks in which a chat completion is streamed, cut at its words."""
    (choice,) = completion["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in _words(message.get("reasoning_content"))]
    deltas += [{"content": piece} for piece in _words(message.get("content"))]
    for call in message.get("tool_calls") or ():
        begun = {**call, "function": {**call["function"], "arguments": ""}}
        deltas += [{"tool_calls": [begun]}]
        pieces = _words(call["function"]["arguments"])
        deltas += [{"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]} for piece in pieces]
    head = {name: completion[name] for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    made = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    return [*made, {**head, "choices": [last], "usage": completion["usage"]}]


def _words(text: str | None) -> list[str]:
    return [word for word in re.findall(r"\S*\s*", text or "") if word]
