"""JSON Schema instruction in the prompt, because the chat endpoint has no parameter for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepseek_async.types.json_text import write


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


def schema_in(form: Any) -> Any:
    """Return the schema of ``form``, a ``response_format`` of type ``json_schema``; None for any other."""
    described = form.get("json_schema") if isinstance(form, Mapping) and form.get("type") == "json_schema" else None
    return described.get("schema") if isinstance(described, Mapping) else None


def with_schema_in_prompt(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a chat request that asks for its ``json_schema`` as DeepSeek can be asked; any other as it is.

    SDKs send one for a class, and DeepSeek's chat refuses it with 400.
    """
    schema = schema_in(body.get("response_format"))
    if schema is None or not body.get("messages"):
        return body
    messages = ask_for_schema(body["messages"], write(schema).decode())
    return {**body, "messages": messages, "response_format": {"type": "json_object"}}
