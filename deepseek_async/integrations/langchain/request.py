"""What a call of LangChain asks for, as arguments of ``chat.completions.create``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from deepseek_async.codec.json_schema import strict_schema
from deepseek_async.codec.schema_prompt import ask_for_schema
from deepseek_async.errors import InvalidRequestError
from deepseek_async.integrations.langchain.conversation import conversation
from deepseek_async.types.json_text import write

_FREE: Final = (None, "auto", "none")
"""Choices of a tool that DeepSeek accepts while the model thinks."""


def request_of(
    messages: Sequence[BaseMessage], defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments for ``messages``: those of the call over the model's own.

    Raises InvalidRequestError for what DeepSeek would refuse.
    """
    request = {**defaults, **given}
    request.pop("stream", None)  # which of the two is the method that was called
    _reconcile_thinking(request, given)
    tools = request.get("tools")
    thinking_with_tools = bool(tools) and request.get("tool_choice") != "none" and _is_thinking(request)
    request["messages"] = conversation(messages, thinking_with_tools=thinking_with_tools)
    if (wanted := request.get("response_format")) is not None:
        _ask_for_format(request, wanted)
    return request


def _reconcile_thinking(request: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Keep one switch of thinking, and turn it off for a forced tool, unless the program has turned it on."""
    if "reasoning_effort" in given and "thinking" not in given:
        request.pop("thinking", None)
    elif "thinking" in given and "reasoning_effort" not in given:
        request.pop("reasoning_effort", None)
    if request.get("tool_choice") in _FREE or not request.get("tools"):
        return
    if request.get("thinking") is None and request.get("reasoning_effort") is None:
        request["thinking"] = False
    elif _is_thinking(request):
        raise InvalidRequestError(
            f"tool_choice={request['tool_choice']!r} forces a tool, which DeepSeek refuses while the model thinks: set "
            "thinking=False, or tool_choice='auto', or for structured output method='json_schema'"
        )


def _is_thinking(request: Mapping[str, Any]) -> bool:
    thinking = request.get("thinking")
    if thinking is None:
        return request.get("reasoning_effort") != "none"
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return thinking is True or thinking == "enabled"


def _ask_for_format(request: dict[str, Any], wanted: Any) -> None:
    """Put a JSON Schema into the prompt: DeepSeek's chat endpoint refuses it as a response_format."""
    if not isinstance(wanted, Mapping):
        raise InvalidRequestError(
            f"response_format must be a dict, got {wanted!r}; for a class use with_structured_output"
        )
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema") or {}
        request["messages"] = ask_for_schema(request["messages"], write(schema).decode())
        request["response_format"] = {"type": "json_object"}


def definition_of(
    tool: dict[str, Any] | type | Callable[..., Any] | BaseTool, *, strict: bool | None = None
) -> dict[str, Any]:
    """Return ``tool`` in the API's format. Raises InvalidRequestError for a schema beyond strict mode."""
    if isinstance(tool, dict) and tool.get("type", "function") not in ("function", "object"):
        return tool  # the service's own
    made: dict[str, Any] = convert_to_openai_tool(tool, strict=strict)
    if strict and isinstance(made.get("function"), dict):
        function = made["function"]
        parameters = strict_schema(function.get("parameters") or {"type": "object", "properties": {}})
        made = {**made, "function": {**function, "parameters": parameters, "strict": True}}
    return made


def choice_of(choice: str | bool | Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Return LangChain's ``tool_choice`` in the API's format. Raises InvalidRequestError for an unknown tool."""
    if choice is None or choice is False or isinstance(choice, Mapping):
        return choice or None
    if choice in (True, "any", "required"):
        return "required"
    if choice in ("auto", "none"):
        return choice
    names = [tool["function"]["name"] for tool in tools if "function" in tool]
    if choice not in names:
        raise InvalidRequestError(
            f"tool_choice must be auto, none, any or the name of a tool ({', '.join(names) or 'none'}), got {choice!r}"
        )
    return {"type": "function", "function": {"name": choice}}
