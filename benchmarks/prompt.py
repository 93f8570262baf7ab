"""What every contestant asks: a system prompt and a question, together about 1 kB."""

from __future__ import annotations

from typing import Any

MODEL = "deepseek-flash"
KEY = "sk-benchmark"
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You answer briefly, in plain words, and say so when you do not know. " * 6},
    {"role": "user", "content": "Why does a client that waits for answers need any time of its own? " * 8},
]
PLAIN: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "temperature": 0.7, "max_tokens": 2000}
STREAMED: dict[str, Any] = {**PLAIN, "stream": True}
