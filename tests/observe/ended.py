"""Ends of calls, for tests of those who are told of them."""

from __future__ import annotations

from typing import Any

import orjson

from deepseek_async.events import CallEnded
from deepseek_async.labels import Labels
from deepseek_async.types import CompletionTokensDetails, CompletionUsage

REQUEST = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "What is the capital of Norway?"}],
    "temperature": 0.2,
    "max_tokens": 50,
}
USAGE = CompletionUsage(
    prompt_tokens=100,
    completion_tokens=30,
    total_tokens=130,
    prompt_cache_hit_tokens=64,
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=10),
)
AT = 1_795_608_000.0  # 2026-11-25 12:00 UTC


def ended(request: dict[str, Any] | None = None, **facts: Any) -> CallEnded:
    """A call that was answered, unless ``facts`` say otherwise."""
    body = {**REQUEST, **(request or {})}
    return CallEnded(
        **{
            "operation": "chat",
            "origin": "https://api.deepseek.com",
            "request": orjson.dumps(body),
            "model": body["model"],
            "served_model": body["model"],
            "started": AT,
            "duration": 1.5,
            "outcome": "ok",
            "labels": Labels(),
            "attempts": 1,
            "queued": 0.01,
            "response_id": "resp-1",
            "request_id": "trace-1",
            "finish_reason": "stop",
            "usage": USAGE,
            "cost": 0.00002,
            "answer": "Oslo",
            **facts,
        },
    )
