"""Rules for requests in Anthropic's format; only what DeepSeek certainly rejects or ignores. Pure.

Sources: the official validator (deepseek-recipe 0.2) and the docs' create-message page, as of 2026-11-26. Anything
described by neither is accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from deepseek_async.lint.api_facts import tools_of_service
from deepseek_async.lint.extensions import search_while_thinking
from deepseek_async.lint.finding import Finding, Request
from deepseek_async.lint.rules import MAX_STOP_STRINGS, MAX_TOKENS, TOOL_NAME, user_findings

_IGNORED: Final = ("top_k", "service_tier", "container", "mcp_servers")
_IGNORED_INSIDE: Final = (("thinking", "budget_tokens"), ("output_config", "format"))


def message_findings(request: Mapping[str, Any], deliberate: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Yield the certain findings for ``request``; unusual field types are left to the service."""
    yield from _range_findings(request)
    yield from _stop_findings(request.get("stop_sequences"))
    yield from _tool_findings(request.get("tools"))
    yield from _choice_findings(request)
    yield from _service_findings(request)
    yield from _switch_findings(request.get("thinking"))
    yield from _turn_findings(request.get("messages"))
    metadata = request.get("metadata")
    if isinstance(metadata, Mapping):
        yield from user_findings("metadata.user_id", metadata.get("user_id"))
    for name in _IGNORED:
        if request.get(name) is not None and name not in deliberate:
            yield _ignored(name, partial(_drop, name))
    for name, inner in _IGNORED_INSIDE:
        value = request.get(name)
        if name not in deliberate and isinstance(value, Mapping) and inner in value:
            yield _ignored(f"{name}.{inner}", partial(_drop_inside, name, inner))


def _range_findings(request: Mapping[str, Any]) -> Iterator[Finding]:
    cap, temperature, top_p = (_number(request.get(name)) for name in ("max_tokens", "temperature", "top_p"))
    if cap is not None and cap < 1:
        yield Finding("range:max_tokens", "max_tokens", f"must be from 1 to {MAX_TOKENS:,}, got {cap}")
    if cap is not None and cap > MAX_TOKENS:
        yield Finding(
            "lowered:max_tokens",
            "max_tokens",
            f"must be at most {MAX_TOKENS:,}, got {cap:,}; DeepSeek lowers it",
            refused=False,
            repair=partial(_set, "max_tokens", MAX_TOKENS),
        )
    if temperature is not None and not 0 <= temperature <= 2:
        yield Finding(
            "range:temperature",
            "temperature",
            f"must be from 0 to 2, got {temperature}",
            repair=partial(_set, "temperature", min(max(temperature, 0), 2)),
        )
    if top_p is not None and not 0 < top_p <= 1:
        yield Finding(
            "range:top_p",
            "top_p",
            f"must be above 0 and at most 1, got {top_p}",
            repair=partial(_set, "top_p", 1) if top_p > 1 else None,
        )


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _stop_findings(stops: Any) -> Iterator[Finding]:
    if isinstance(stops, str):
        yield Finding(
            "stop_sequences",
            "stop_sequences",
            "must be a list of strings, got a string",
            repair=partial(_set, "stop_sequences", [stops]),
        )
    elif isinstance(stops, list | tuple):
        if "" in stops:
            kept = [stop for stop in stops if stop != ""]
            yield Finding(
                "empty_stop",
                "stop_sequences",
                "must not contain an empty string",
                repair=partial(_set, "stop_sequences", kept) if kept else partial(_drop, "stop_sequences"),
            )
        if len(stops) > MAX_STOP_STRINGS:
            yield Finding(
                "too_many_stops", "stop_sequences", f"must have at most {MAX_STOP_STRINGS} strings, got {len(stops)}"
            )


def _tool_findings(tools: Any) -> Iterator[Finding]:
    for index, tool in enumerate(tools if isinstance(tools, list | tuple) else ()):
        if isinstance(tool, Mapping) and tool.get("type") == "custom":
            yield Finding(
                "custom_tool",
                f"tools[{index}].type",
                "'custom' is rejected (server tools are not supported): omit the type of your own tools",
                repair=partial(_untype, index),
            )
    own = [tool for tool in tools if _is_own(tool)] if isinstance(tools, list | tuple) else []
    for tool in own:
        name, schema = tool.get("name"), tool.get("input_schema")
        if isinstance(name, str) and not TOOL_NAME.fullmatch(name):
            yield Finding("tool_name", "tools", f"a tool name must be of A-Z, a-z, 0-9, _ and -, got {name[:200]!r}")
        if isinstance(schema, Mapping) and schema.get("type") != "object":
            text = f"input_schema of {name!r:.200} must have the type 'object', got {schema.get('type')!r:.200}"
            yield Finding("tool_schema", "tools", text)
    names = [name for tool in own if isinstance(name := tool.get("name"), str)]
    if len(set(names)) < len(names):
        yield Finding("tool_names_not_unique", "tools", "two tools have the same name")


def _is_own(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") is None


def _switch_findings(thinking: Any) -> Iterator[Finding]:
    if isinstance(thinking, bool) or thinking in ("enabled", "disabled", "adaptive"):
        meant = {"type": thinking if isinstance(thinking, str) else "enabled" if thinking else "disabled"}
        yield Finding(
            "thinking_not_object",
            "thinking",
            f"must be an object: {meant}",
            repair=partial(_set, "thinking", meant),
        )


def _turn_findings(messages: Any) -> Iterator[Finding]:
    for index, turn in enumerate(messages if isinstance(messages, list | tuple) else ()):
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
        if not isinstance(content, list | tuple):
            continue
        place = f"messages[{index}].content"
        if not content:
            yield Finding("empty_content", place, "must not be empty")
        kinds = {kind for block in content if isinstance(block, Mapping) and isinstance(kind := block.get("type"), str)}
        if role == "assistant" and "image" in kinds:
            yield Finding("image_from_assistant", place, "an assistant message cannot contain an image")
        if role == "user" and "web_search_tool_result" in kinds:
            text = "'web_search_tool_result' is allowed in assistant messages only: send the answer back unchanged"
            yield Finding("result_not_from_assistant", place, text)


def _choice_findings(request: Mapping[str, Any]) -> Iterator[Finding]:
    choice = request.get("tool_choice")
    if isinstance(choice, str):
        repair = partial(_set, "tool_choice", {"type": choice}) if choice in ("auto", "any", "none") else None
        yield Finding("tool_choice", "tool_choice", f"must be an object, e.g. {{'type': {choice!r}}}", repair=repair)
    elif isinstance(choice, Mapping) and choice.get("type") == "any":
        yield Finding(
            "tool_choice_any",
            "tool_choice",
            "'any' counts as auto at DeepSeek: no call is forced. Name the tool, with thinking disabled",
            refused=False,
        )
    elif isinstance(choice, Mapping) and choice.get("type") == "tool" and _is_thinking(request):
        yield Finding(
            "tool_choice_while_thinking",
            "tool_choice",
            "a call cannot be forced with thinking, which is on by default: send thinking={'type': 'disabled'}",
        )


def _service_findings(request: Mapping[str, Any]) -> Iterator[Finding]:
    asked = tools_of_service(request)
    if asked and _is_thinking(request):
        yield search_while_thinking(asked[0], "thinking={'type': 'disabled'}")
    safety, choice = request.get("safety_check"), request.get("tool_choice")
    level = safety.get("level") if isinstance(safety, Mapping) else None
    if level not in (None, "high", "low"):
        yield Finding("safety_check", "safety_check.level", f"must be high or low, got {level!r:.200}")
    forced = isinstance(choice, Mapping) and choice.get("type") == "tool"
    if forced and level == "high":
        yield Finding(
            "safety_check_with_choice",
            "tool_choice",
            "must be auto or none with safety_check 'high', which does not allow forced calls",
        )


def _is_thinking(request: Mapping[str, Any]) -> bool:
    thinking, output = request.get("thinking"), request.get("output_config")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    return not (isinstance(output, Mapping) and output.get("effort") == "none")


def _ignored(name: str, repair: Any) -> Finding:
    return Finding(
        f"ignored_parameter:{name}",
        name,
        f"DeepSeek ignores the parameter {name!r}; sent unchanged. Pass it in extra_body to silence this warning",
        refused=False,
        repair=repair,
    )


def _set(name: str, value: Any, request: Request) -> None:
    request[name] = value


def _drop(name: str, request: Request) -> None:
    request.pop(name, None)


def _drop_inside(name: str, inner: str, request: Request) -> None:
    request[name] = {key: value for key, value in request[name].items() if key != inner}


def _untype(index: int, request: Request) -> None:
    tools = list(request["tools"])
    tools[index] = {name: value for name, value in tools[index].items() if name != "type"}
    request["tools"] = tools
