"""Settings of an agent as parameters of ``chat.completions.create``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from deepseek_async.codec.json_schema import strict_schema

_SAME_NAME: Final = ("max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "timeout")
_RENAMED: Final = {
    "stop_sequences": "stop",
    "deepseek_user_id": "user_id",
    "deepseek_safety_check": "safety_check",
    "extra_headers": "extra_headers",
    "extra_body": "extra_body",
}
_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "high",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}
"""DeepSeek's own translation of levels that it does not have (DeepSeek docs, create-chat-completion)."""


class DeepSeekModelSettings(ModelSettings, total=False):
    """Settings of a ``DeepSeekModel`` beside those of every model."""

    deepseek_reasoning_effort: str
    """none, low, high or max; goes before ``thinking``."""
    deepseek_user_id: str
    """Separates prefix cache and scheduling of your users."""
    deepseek_safety_check: str
    """"high": the service reviews request and answer as a whole."""


def parameters_of(settings: ModelSettings, request: ModelRequestParameters) -> dict[str, Any]:
    """Return all parameters but the messages. Raises UserError for a tool_choice that no tool fits."""
    given: dict[str, Any] = {**settings}
    made: dict[str, Any] = {name: given[name] for name in _SAME_NAME if given.get(name) is not None}
    made |= {ours: given[name] for name, ours in _RENAMED.items() if given.get(name)}
    if (effort := given.get("deepseek_reasoning_effort") or _effort_of(request.thinking)) is not None:
        made["reasoning_effort"] = effort
    elif request.thinking is not None:
        made["thinking"] = bool(request.thinking)
    tools, choice = _offered(given.get("tool_choice"), request)
    if tools:
        made["tools"] = [_definition(tool) for tool in tools]
        # DeepSeek refuses a forced call while the model thinks; an agent asks again if the answer is text.
        if choice == "none" or (choice != "auto" and not is_thinking(made)):
            made["tool_choice"] = choice
    wants_json = request.output_mode == "native" or (request.output_mode == "prompted" and not tools)
    if wants_json:
        made["response_format"] = {"type": "json_object"}  # the schema is in the instructions
    return made


def is_thinking(parameters: Mapping[str, Any]) -> bool:
    """Whether the model thinks, which it does unless it is told not to."""
    return parameters.get("reasoning_effort") != "none" and parameters.get("thinking") is not False


def _effort_of(thinking: Any) -> str | None:
    return _EFFORTS.get(thinking) if isinstance(thinking, str) else None


def _offered(wanted: Any, request: ModelRequestParameters) -> tuple[list[ToolDefinition], Any]:
    """Return the tools to offer and the API's ``tool_choice``."""
    tools = request.declared_tool_defs
    output = {tool.name for tool in request.output_tools}
    usual = "auto" if request.allow_text_output else "required"
    if wanted in (None, "auto"):
        names, choice = set(tools), usual
    elif wanted == "required":
        names, choice = set(tools), "required"
    elif wanted in ("none", []):
        # The definitions stay, so that the cached prefix does; DeepSeek itself leaves them out of the prompt.
        names, choice = (output, usual) if output else (set(tools), "none")
    elif isinstance(wanted, ToolOrOutput):
        names, choice = {*wanted.function_tools, *output}, usual
    else:
        names, choice = set(wanted), "required"
    chosen = [tool for name, tool in tools.items() if name in names]
    if names and not chosen:
        raise UserError(f"tool_choice must name tools of the agent ({', '.join(tools) or 'none'}), got {wanted!r}")
    if choice == "required" and not chosen:
        if tools or wanted == "required":
            raise UserError(f"tool_choice={wanted!r} needs a tool, and the agent offers none")
        return [], None
    if choice == "required" and len(chosen) == 1:
        return chosen, {"type": "function", "function": {"name": chosen[0].name}}
    return chosen, choice


def _definition(tool: ToolDefinition) -> dict[str, Any]:
    parameters = tool.parameters_json_schema
    function: dict[str, Any] = {
        "name": tool.name,
        "parameters": strict_schema(parameters) if tool.strict else parameters,
    }
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}
