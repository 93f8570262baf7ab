"""Responses requests: translation to chat requests. Pure."""

from __future__ import annotations

from typing import Any

from deepseek_async.simulator.model.web import TOOLS

_SERVED = ("server_tool_use", "web_search_tool_result")
_TEXTS = ("input_text", "output_text", "text")


class UntranslatableError(Exception):
    """A translation error with the service's message."""


def chat_request(body: Any) -> dict[str, Any]:
    """Translate to a chat request. Unsupported content is an error; unknown keys are ignored."""
    if not isinstance(body, dict):
        raise UntranslatableError("expected a JSON object")
    if body.get("previous_response_id") is not None:
        raise UntranslatableError("previous_response_id is not supported: the service keeps no state")
    reasoning = _object(body, "reasoning")
    wanted = _object(_object(body, "text"), "format")
    made: dict[str, Any] = {
        "model": body.get("model"),
        "messages": [*_instructions(body.get("instructions")), *_messages(body.get("input"))],
        "max_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "stream": body.get("stream"),
        "reasoning_effort": reasoning.get("effort"),
        "tools": [_tool(tool) for tool in body.get("tools") or ()] or None,
        "tool_choice": _choice(body.get("tool_choice")),
        "user_id": body.get("user_id"),
        "safety_check": body.get("safety_check"),
        "title": body.get("title"),
    }
    if wanted.get("type") in ("json_object", "json_schema"):
        made["response_format"] = {"type": "json_object"}
        if wanted["type"] == "json_schema":
            # Chat has no schema, and requires the word json instead.
            made["messages"].insert(0, {"role": "system", "content": "json"})
            made["text.format.schema"] = wanted.get("schema") or {}
    return {name: value for name, value in made.items() if value is not None}


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise UntranslatableError(f"'{name}' must be an object")
    return value or {}


def _instructions(given: Any) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, str):
        raise UntranslatableError("'instructions' must be a string")
    return [{"role": "system", "content": given}]


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise UntranslatableError("'input' must be a string or a list of at least one item")
    messages: list[dict[str, Any]] = []
    thought: str | None = None
    for item in given:
        if not isinstance(item, dict):
            raise UntranslatableError("every item of 'input' must be an object")
        if _is_served(item.get("type")):
            continue
        match item.get("type", "message"):
            case "reasoning":
                thought = "".join(part.get("text", "") for part in item.get("content") or ())
                continue
            case "function_call":
                call = {"name": item.get("name"), "arguments": item.get("arguments")}
                if not (messages and messages[-1].get("tool_calls")):
                    messages.append({"role": "assistant", "content": None, "tool_calls": []})
                messages[-1]["tool_calls"].append({"id": item.get("call_id"), "type": "function", "function": call})
            case "function_call_output":
                output = item.get("output")
                messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
            case "message":
                messages.append({"role": _role(item.get("role")), "content": _content(item.get("content"))})
            case other:
                raise UntranslatableError(f"items of type {other!r} are not supported")
        if thought is not None and messages[-1]["role"] == "assistant":
            messages[-1]["reasoning_content"], thought = thought, None
    return messages


def _is_served(kind: Any) -> bool:
    """Whether the item was produced by the service, which matches its results by itself."""
    return isinstance(kind, str) and (kind in _SERVED or "search_call" in kind)


def _role(given: Any) -> Any:
    if given == "latest_reminder":
        raise UntranslatableError(
            "unknown variant `latest_reminder`, expected one of `user`, `assistant`, `system`, `developer`"
        )
    return "system" if given == "developer" else given


def _content(given: Any) -> Any:
    if not isinstance(given, list):
        return given
    return [
        {"type": "image_url", "image_url": {"url": part.get("image_url")}}
        if part.get("type") == "input_image"
        else {**part, "type": "text" if part.get("type") in _TEXTS else part.get("type")}
        for part in given
    ]


def _tool(given: Any) -> Any:
    """Return the tool; in this format the function's fields are next to its type."""
    if not isinstance(given, dict):
        raise UntranslatableError("every tool must be an object")
    if given.get("type") in TOOLS:
        return given
    function = {name: value for name, value in given.items() if name != "type" and value is not None}
    return {"type": given.get("type"), "function": function}


def _choice(given: Any) -> Any:
    if isinstance(given, dict):
        return {"type": given.get("type"), "function": {"name": given.get("name")}}
    return given
