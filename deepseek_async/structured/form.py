"""The form of an answer as it is asked for: a request with a schema. Pure."""

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
"""How DeepSeek is made to answer in a form: ``json_object`` with the schema in the prompt, or a strict tool that
it is forced to call."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")


class AnswerForm(msgspec.Struct, frozen=True):
    """What is asked for. Holds JSON only, so that a job can write down how it asks."""

    name: str
    schema: str
    """As JSON, because the order of its keys is part of the question."""
    method: Method = "json"

    def adapted(self, body: Mapping[str, Any]) -> Body:
        """``body``, asking for an answer in this form. Raises InvalidRequestError for one that cannot."""
        if self.method == "json":
            messages = ask_for_schema(body["messages"], self.schema)
            return {**body, "messages": messages, "response_format": {"type": "json_object"}}
        if body.get("tools"):
            raise InvalidRequestError("strict_tool uses the tools itself; use the method 'json' beside tools")
        thinking: Mapping[str, Any] = body.get("thinking") or {}
        if thinking.get("type") == "enabled" or body.get("reasoning_effort") not in (None, "none"):
            raise InvalidRequestError("strict_tool cannot be used while the model thinks; use the method 'json'")
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
