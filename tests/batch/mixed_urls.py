"""Lines for every endpoint that a batch sends, and what each answer says in the endpoint's own form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODEL = "deepseek-flash"

BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/v1/chat/completions": lambda text: {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "thinking": {"type": "disabled"},
        "max_tokens": 16,
    },
    "/v1/completions": lambda text: {"model": MODEL, "prompt": text, "suffix": ".", "max_tokens": 16},
    "/v1/responses": lambda text: {
        "model": MODEL,
        "input": text,
        "reasoning": {"effort": "none"},
        "max_output_tokens": 16,
    },
    "/v1/messages": lambda text: {
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "thinking": {"type": "disabled"},
        "max_tokens": 16,
    },
    "/v1/embeddings": lambda text: {"model": "text-embedding-3-small", "input": text},
}
URLS = tuple(BODIES)
OF_TEXT = URLS[:-1]

SAYS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "/v1/chat/completions": lambda body: body["choices"][0]["message"]["content"],
    "/v1/completions": lambda body: body["choices"][0]["text"],
    "/v1/responses": lambda body: body["output"][-1]["content"][0]["text"],
    "/v1/messages": lambda body: body["content"][-1]["text"],
    "/v1/embeddings": lambda _: None,
}
"""The text of an answer, read from the endpoint's own body."""


def asked(url: str, number: int, **body: Any) -> dict[str, Any]:
    """A line that asks something of its own."""
    return {
        "custom_id": f"{url} {number}",
        "method": "POST",
        "url": url,
        "body": {**BODIES[url](f"Question {number}"), **body},
    }


def mixed(rows: int, urls: tuple[str, ...] = URLS) -> list[dict[str, Any]]:
    """So many lines, one endpoint after the other."""
    return [asked(urls[number % len(urls)], number) for number in range(rows)]


def url_of(name: str) -> str:
    """The url of the row of that ``custom_id``."""
    return name.rpartition(" ")[0]
