"""Output files, written line by line as a run would."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import APITimeoutError, BadRequestError, DeepSeekError

BEGAN = datetime(2026, 11, 24, 0, 20, tzinfo=UTC).timestamp()


def answered(number: int, content: str = "Yes.", **facts: Any) -> bytes:
    """The line of a row with an answer."""
    body = {
        "model": facts.pop("model", "deepseek-flash"),
        "choices": [
            {
                "finish_reason": facts.pop("finish_reason", "stop"),
                "message": {"content": content, "reasoning_content": "Hm.", "tool_calls": facts.pop("calls", None)},
            },
        ],
        "usage": {
            "prompt_tokens": facts.pop("prompt_tokens", 1000),
            "completion_tokens": facts.pop("completion_tokens", 100),
            "prompt_cache_hit_tokens": facts.pop("cached", 400),
            "completion_tokens_details": {"reasoning_tokens": facts.pop("reasoning", 60)},
        },
    }
    facts = {"attempts": 1, "started": BEGAN + number, "latency": 2.0, **facts}
    name = facts.pop("name", f"row-{number}")
    result = BatchResult(index=number, answer=decode_completion(orjson.dumps(body)), **facts)
    return encode_line(result, name, number + 1)


def failed(number: int, error: DeepSeekError | None = None, **facts: Any) -> bytes:
    """The line of a row that ended with an error."""
    error = error or BadRequestError("400: Content Exists Risk", status_code=400, body={"message": "no"})
    name = facts.pop("name", f"row-{number}")
    facts = {"attempts": 1, "started": BEGAN + number, "latency": 1.0, **facts}
    return encode_line(BatchResult(index=number, error=error, **facts), name, number + 1)


def written(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def lifelike(rows: int = 600) -> Iterable[bytes]:
    """A job over the morning's peak hours, with some of everything."""
    chance = random.Random(11)
    for number in range(rows):
        pause = 9000 if number > 0.7 * rows else 0
        started = BEGAN + number * 2000 / rows + pause
        latency = chance.lognormvariate(1.9, 0.6)
        if chance.random() < 0.02:
            error = APITimeoutError(f"no bytes for 60 s over connection {'0123456789abcdef' * 8}", phase="idle")
            yield failed(number, error, started=started, latency=60.0, attempts=6)
        elif chance.random() < 0.02:
            error = BadRequestError("400: <script>alert(1)</script> & 'quotes' \u5185\u5bb9", status_code=400)
            yield failed(number, error, started=started, name=f"{'long-name-' * 12}{number}")
        else:
            yield answered(
                number,
                started=started,
                latency=latency,
                prompt_tokens=2400 + chance.randrange(200),
                cached=0 if chance.random() < 0.05 else 2176,
                completion_tokens=400 + chance.randrange(300),
                reasoning=chance.randrange(300),
                model=chance.choice(["deepseek-flash", "deepseek-flash", "deepseek-v4-pro"]),
                finish_reason="length" if number % 97 == 0 else "stop",
                predicted_cached_tokens=2176,
                attempts=1 + (chance.random() < 0.05),
            )
