"""Audit records: lines for calls and ratings, and identifiers for settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import orjson

from deepseek_async.errors import DeepSeekError
from deepseek_async.events import CallEnded, Rated
from deepseek_async.text.redaction import is_suspect, redact
from deepseek_async.text.unicode import all_encodable
from deepseek_async.types.json_text import read
from deepseek_async.types.simulated_mark import is_simulated

_CONTENT: Final = frozenset({"messages", "prompt", "suffix", "input", "instructions"})
"""Fields with the prompt."""
_NOT_A_SETTING: Final = _CONTENT | {"user_id", "stream", "stream_options"}
"""Fields that may differ between calls with equal settings."""


def parameters_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a request: all fields except prompt, end user and delivery."""
    return {name: value for name, value in request.items() if name not in _NOT_A_SETTING}


def config_id(request: Mapping[str, Any], prompt_version: str | None = None) -> str:
    """Return an identifier of a call's settings: 12 hexadecimal digits, equal for equal settings everywhere.

    ``request`` holds the parameters as sent; ``prompt_version`` is the version of the prompt, if labelled.
    """
    settings = [parameters_of(request), prompt_version]
    return _name(_sorted(settings))


@lru_cache(maxsize=1024)
def _name(settings: bytes) -> str:
    return sha256(settings).hexdigest()[:12]


def call_line(event: CallEnded, *, content: bool) -> bytes:
    """Return the JSON line of a call; ``content`` includes prompt and answer."""
    request: dict[str, Any] = read(event.request) if event.request else {}
    asked = {name: request[name] for name in _CONTENT if name in request}
    usage = event.usage
    line: dict[str, Any] = {
        "event": "call",
        "at": _stamp(event.started),
        "config_id": config_id(request, event.labels.prompt_version),
        "operation": event.operation,
        "origin": event.origin,
        "path": event.path or None,
        "model": event.model,
        "served_model": event.served_model,
        "parameters": parameters_of(request),
        "user_id": request.get("user_id"),
        "streamed": event.streamed,
        "tag": event.labels.tag,
        "prompt_version": event.labels.prompt_version,
        "conversation": event.labels.conversation,
        "outcome": event.outcome,
        "content": event.content,
        "finish_reason": event.finish_reason,
        "error": _error(event.error),
        "attempts": event.attempts,
        "duration": round(event.duration, 4),
        "trace_id": event.request_id,
        "response_id": event.response_id,
        "usage": None
        if usage is None
        else {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            **({"estimated": usage.corrected} if usage.corrected is not None else {}),
        },
        "cost": event.cost,
        "fees": {fee.kind: {"count": fee.count, "CNY": fee.cny, "USD": fee.usd} for fee in event.fees} or None,
        "simulated": True if is_simulated(event.response_id) or is_simulated(event.request_id) else None,
        "cache": event.tier,
        "prompt_hash": sha256(_sorted(asked)).hexdigest(),
    }
    if content:
        line["prompt"], line["answer"] = asked, event.answer
    return _line({name: value for name, value in line.items() if value is not None})


def rating_line(event: Rated) -> bytes:
    """Return the JSON line of a user rating."""
    return _line(
        {"event": "feedback", "at": _stamp(event.at), "response_id": event.response_id, "score": event.score},
    )


def _line(fields: dict[str, Any]) -> bytes:
    wire = _dumped(fields)
    # Last resort: redacts a key that was placed in a parameter or a prompt.
    if is_suspect(wire):
        wire = redact(wire.decode()).encode()
    return wire + b"\n"


def _sorted(value: Any) -> bytes:
    return _dumped(value, orjson.OPT_SORT_KEYS)


def _dumped(value: Any, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        # A lone surrogate, from a server or in a prompt.
        return orjson.dumps(all_encodable(value), option=option)


def _error(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    status = error.status_code if isinstance(error, DeepSeekError) else None
    return {"type": type(error).__name__} | ({"status": status} if status else {})


def _stamp(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"


@lru_cache(maxsize=64)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
