"""JSON Schema instruction in the prompt, because the chat endpoint has no parameter for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def ask_for_schema(messages: Sequence[Mapping[str, Any]], schema: str) -> list[Any]:
    """Return ``messages`` with an instruction to answer with JSON that fits ``schema``, a JSON Schema as text.

    It is added to the leading system message, where it is the same for every request of a kind and can be served from
    the prefix cache. Keys are not sorted, because the model writes fields in the schema's order.
    """
    instruction = (
        "Answer with one JSON object and nothing else: no text around it and no code fence. "
        f"It must fit this JSON Schema:\n{schema}"
    )
    head = messages[0]
    if isinstance(head, Mapping) and head.get("role") == "system" and isinstance(head.get("content"), str):
        return [{**head, "content": f"{head['content']}\n\n{instruction}"}, *messages[1:]]
    return [{"role": "system", "content": instruction}, *messages]
