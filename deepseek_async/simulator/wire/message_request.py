"""Messages requests: translation to chat requests, and validation errors. Pure."""

from __future__ import annotations

import json
from typing import Any

from deepseek_async.simulator.model.catalogue import FLASH, MAX_OUTPUT_TOKENS, PRO
from deepseek_async.simulator.model.web import TOOLS
from deepseek_async.simulator.wire.response_request import UntranslatableError

_ROLES = ("user", "assistant", "system", "latest_reminder")
_SERVED = ("server_tool_use", "web_search_tool_result")
_BLOCKS = {
    "user": ("text", "image", "tool_result", "document"),
    "assistant": ("text", "thinking", "tool_use", *_SERVED),
    "system": ("text", "tool_addition", "tool_removal"),
    "latest_reminder": ("text",),
}
# Anthropic's own server tools; support depends on the deployment, and this one has none.
_CLASSIC_TOOLS = ("web_search_20250305", "web_search_20260209")
_MOST_STOPS = 16


def chat_name(model: str) -> str:
    """Return the model for a Claude name; other names are unchanged."""
    if not model.startswith("claude"):
        return model
    return PRO.id if model.startswith("claude-opus") else FLASH.id


def chat_request(body: Any, *, lenient: bool = False) -> dict[str, Any]:
    """Translate to a chat request. Unknown keys are ignored; with `lenient` unknown blocks are too.

    Raises UntranslatableError with the service's message.
    """
    if not isinstance(body, dict):
        raise UntranslatableError("expected a JSON object")
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise UntranslatableError("messages: at least one message is required")
    messages = _system(body.get("system"))
    called: list[str] = []
    for index, message in enumerate(given):
        called = _add(messages, message, index, called, lenient=lenient)
    if called:
        raise _unanswered(len(given) - 1, called)
    model = body.get("model")
    made: dict[str, Any] = {
        "model": chat_name(model) if isinstance(model, str) else model,
        "messages": messages,
        "max_tokens": _cap(body.get("max_tokens")),
        "stop": _stops(body.get("stop_sequences")),
        "thinking": body.get("thinking"),
        "reasoning_effort": _object(body, "output_config").get("effort"),
        "tools": _tools(body.get("tools")) or None,
        "tool_choice": _choice(body.get("tool_choice")),
        "user_id": _object(body, "metadata").get("user_id"),
        **{name: body.get(name) for name in ("temperature", "top_p", "stream", "safety_check", "title")},
    }
    return {name: value for name, value in made.items() if value is not None}


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise UntranslatableError(f"{name}: expected an object")
    return value or {}


def _system(given: Any) -> list[dict[str, Any]]:
    if given is None:
        return []
    if isinstance(given, list) and all(isinstance(block, dict) and block.get("type") == "text" for block in given):
        given = "\n\n".join(str(block.get("text") or "") for block in given)
    if not isinstance(given, str):
        raise UntranslatableError("system: expected a string or a list of text blocks")
    return [{"role": "system", "content": given}]


def _add(messages: list[dict[str, Any]], message: Any, index: int, called: list[str], *, lenient: bool) -> list[str]:
    """Append one message; `called` are the open calls that it must answer. Return the calls it makes."""
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        role = message.get("role") if isinstance(message, dict) else message
        raise UntranslatableError(f"messages.{index}.role: unknown variant `{role}`, expected one of {_listed(_ROLES)}")
    role, content = message["role"], message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise UntranslatableError(f"messages.{index}.content: expected a string or a list")
    if not blocks:
        raise UntranslatableError("all messages must have non-empty content")
    for block in blocks:
        _check_block(block, role, index, lenient=lenient)
    results = [block for block in blocks if block["type"] == "tool_result"]
    if blocks[: len(results)] != results:
        raise _unanswered(index - 1, called or [str(result.get("tool_use_id")) for result in results])
    answered = [result.get("tool_use_id") for result in results]
    if missing := [call for call in called if call not in answered]:
        raise _unanswered(index - 1, missing)
    if strange := [str(call) for call in answered if call not in called]:
        raise UntranslatableError(
            f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(strange)}"
        )
    if role == "assistant":
        messages.append(_assistant(blocks))
        calls = [block.get("id") for block in blocks if block["type"] == "tool_use"]
        if len(set(map(str, calls))) != len(calls):
            raise UntranslatableError(f"messages.{index}: `tool_use` ids must be unique")
        return [str(call) for call in calls]
    for result in results:
        said = {"role": "tool", "tool_call_id": result["tool_use_id"], "content": _parts(result.get("content"))}
        messages.append(said)
    if rest := blocks[len(results) :]:
        messages.append({"role": role, "content": content if isinstance(content, str) else _parts(rest)})
    return []


def _unanswered(index: int, calls: list[str]) -> UntranslatableError:
    return UntranslatableError(
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(calls)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _check_block(block: Any, role: str, index: int, *, lenient: bool) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise UntranslatableError(f"messages.{index}.content: missing field `type`")
    if kind in _BLOCKS[role] or (lenient and role == "assistant"):
        return
    if kind == "web_search_tool_result":
        raise UntranslatableError(f"messages.{index}: `{kind}` blocks can only be in `assistant` messages")
    if kind == "image" and role == "assistant":
        raise UntranslatableError("Image in assistant message is not supported")
    raise UntranslatableError(
        f"messages.{index}.content: unknown variant `{kind}`, expected one of {_listed(_BLOCKS[role])}"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _assistant(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": ""}
    for block in blocks:
        match block["type"]:
            case "text":
                said["content"] += str(block.get("text") or "")
            case "thinking":
                said["reasoning_content"] = said.get("reasoning_content", "") + str(block.get("thinking") or "")
            case "tool_use":
                function = {"name": block.get("name"), "arguments": json.dumps(block.get("input"), ensure_ascii=False)}
                call = {"id": block.get("id"), "type": "function", "function": function}
                said.setdefault("tool_calls", []).append(call)
            case _:
                # Search results are read again unchanged.
                said["content"] += json.dumps(block, ensure_ascii=False)
    return said


def _parts(given: Any) -> Any:
    """Return text and images as chat parts; a missing document leaves a note."""
    if given is None:
        return ""
    if not isinstance(given, list):
        return given
    parts: list[Any] = []
    for block in given:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": _picture(block.get("source"))}})
        elif kind == "text":
            parts.append({"type": "text", "text": block.get("text")})
        else:
            parts.append({"type": "text", "text": f"[Unsupported {str(kind).title()}]"})
    return parts


def _picture(source: Any) -> str:
    match source:
        case {"type": "base64", "media_type": str(media), "data": str(data)}:
            return f"data:{media};base64,{data}"
        case {"type": "url", "url": str(url)}:
            return url
        case {"type": "file", "file_id": str()}:
            return "data:image/png;base64,"
    raise UntranslatableError("image.source: expected a source of type `base64`, `url` or `file`")


def _cap(given: Any) -> Any:
    """Lower an excessive cap, which chat rejects."""
    if isinstance(given, int) and not isinstance(given, bool) and given > MAX_OUTPUT_TOKENS:
        return MAX_OUTPUT_TOKENS
    return given


def _stops(given: Any) -> Any:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(stop, str) for stop in given):
        raise UntranslatableError("stop_sequences: expected a list of strings")
    if len(given) > _MOST_STOPS or not all(given):
        raise UntranslatableError(f"stop_sequences: at most {_MOST_STOPS} strings, none of them empty")
    return given


def _tools(given: Any) -> list[dict[str, Any]]:
    """Return the tools: client tools with their function's fields as in chat, and server tools."""
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise UntranslatableError("tools: expected a list of objects")
    made: list[dict[str, Any]] = []
    for index, tool in enumerate(given):
        if tool.get("type") in TOOLS:
            made.append({"type": tool["type"]})
            continue
        if tool.get("type") in _CLASSIC_TOOLS:
            continue
        if "type" in tool:
            raise UntranslatableError(f"tools[{index}]: server tools are not supported")
        function = {name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None}
        if "input_schema" not in tool:
            raise UntranslatableError(f"tools[{index}]: missing field `input_schema`")
        made.append({"type": "function", "function": {**function, "parameters": tool["input_schema"]}})
    if given and all(tool.get("defer_loading") for tool in given):
        raise UntranslatableError("tools: at least one tool must not be deferred")
    return made


def _choice(given: Any) -> Any:
    match given:
        case None:
            return None
        case {"type": "auto" | "any"}:
            return "auto"  # calls are never forced
        case {"type": "none"}:
            return "none"
        case {"type": "tool", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
    raise UntranslatableError("tool_choice: expected an object of type `auto`, `any`, `none` or `tool`")
