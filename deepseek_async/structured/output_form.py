"""Request for structured output: schema and method. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import orjson

from deepseek_async.codec.json_schema import strict_schema
from deepseek_async.codec.schema_prompt import ask_for_schema
from deepseek_async.errors import InvalidRequestError

Body = dict[str, Any]

Method = Literal["json", "strict_tool"]
"""How DeepSeek is made to follow a schema: ``json_object`` with the schema in the prompt, or a forced call of a strict
tool."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")


class AnswerForm(msgspec.Struct, frozen=True):
    """Schema and method of a request. Contains only JSON, so that a job can record it."""

    name: str
    schema: str
    """As JSON text, because the order of its keys affects the answer."""
    method: Method = "json"

    def adapted(self, body: Mapping[str, Any]) -> Body:
        """Return ``body`` with this form requested. Raises InvalidRequestError if they are incompatible."""
        if self.method == "json":
            messages = ask_for_schema(body["messages"], self.schema)
            return {**body, "messages": messages, "response_format": {"type": "json_object"}}
        if body.get("tools"):
            raise InvalidRequestError("strict_tool cannot be combined with tools; use method='json'")
        thinking: Mapping[str, Any] = body.get("thinking") or {}
        if thinking.get("type") == "enabled" or body.get("reasoning_effort") not in (None, "none"):
            raise InvalidRequestError("strict_tool cannot be used with thinking; disable it, or use method='json'")
        function = {
            "name": _NOT_IN_NAMES.sub("_", self.name)[:64],
            "description": "Give the answer.",
            "parameters": strict_schema(orjson.loads(self.schema)),
            "strict": True,
        }
        return {
            **{name: value for name, value in body.items() if name != "reasoning_effort"},
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": function["name"]}},
            "thinking": {"type": "disabled"},
        }
