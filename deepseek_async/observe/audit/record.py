"""What the audit log says of a call, and which settings a call was made with. Pure."""

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
from deepseek_async.types.simulated import is_simulated

_CONTENT: Final = frozenset({"messages", "prompt", "suffix", "input", "instructions"})
"""What was asked, as opposed to how."""
_NOT_A_SETTING: Final = _CONTENT | {"user_id", "stream", "stream_options"}
"""What may differ between two calls with the same settings."""


def parameters_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a request: all of it but what was asked, for whom, and how it is delivered."""
    return {name: value for name, value in request.items() if name not in _NOT_A_SETTING}


def config_id(request: Mapping[str, Any], prompt_version: str | None = None) -> str:
    """A name for the settings of a call: 12 hexadecimal digits, the same for the same settings everywhere.

    ``request`` holds the parameters as they are sent; ``prompt_version`` is the version of the prompt, if one
    was named.
    """
    settings = [parameters_of(request), prompt_version]
    return _name(_sorted(settings))


@lru_cache(maxsize=1024)
def _name(settings: bytes) -> str:
    return sha256(settings).hexdigest()[:12]


def call_line(event: CallEnded, *, content: bool) -> bytes:
    """One line of JSON for a call; ``content`` decides whether prompt and answer are in it."""
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
    """One line of JSON for a user's rating."""
    return _line(
        {"event": "feedback", "at": _stamp(event.at), "response_id": event.response_id, "score": event.score},
    )


def _line(fields: dict[str, Any]) -> bytes:
    wire = _dumped(fields)
    # A second line of defence: a key that was put into a parameter or a prompt does not get into the file.
    if is_suspect(wire):
        wire = redact(wire.decode()).encode()
    return wire + b"\n"


def _sorted(value: Any) -> bytes:
    return _dumped(value, orjson.OPT_SORT_KEYS)


def _dumped(value: Any, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        # Half an emoji, from a server or in a prompt.
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
