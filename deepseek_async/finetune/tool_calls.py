"""Validation of tools and tool calls in a training row. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from deepseek_async.finetune.rejection import RejectedLineError


def check_calls(row: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Raise RejectedLineError for an invalid tool, tool call or tool result."""
    known = _names(row)
    open_calls: list[str] = []
    """Calls without a result yet."""
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise RejectedLineError(
                    "calls", f"{where}: tool_call_id {message['tool_call_id']!r} matches no open call"
                )
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            raise RejectedLineError("calls", f"the call {open_calls[0]!r} needs a result before {where}")
        if message["role"] == "assistant" and message.get("tool_calls"):
            open_calls = _ids(message["tool_calls"], f"{where}.tool_calls", known)


def _names(row: dict[str, Any]) -> set[str] | None:
    """Return the names of the row's functions, or None if it has none."""
    if row.get("tools") is None and row.get("functions") is None:
        return None
    found: set[str] = set()
    for field in ("tools", "functions"):
        offered = row.get(field)
        if offered is None:
            continue
        if not isinstance(offered, list):
            raise RejectedLineError("tools", f"{field!r} must be a list")
        for position, tool in enumerate(offered):
            function = tool.get("function") if field == "tools" and isinstance(tool, dict) else tool
            if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
                raise RejectedLineError("tools", f"{field}[{position}] must have a function name")
            if not isinstance(function.get("parameters", {}), dict):
                raise RejectedLineError("tools", f"{field}[{position}].parameters must be a JSON Schema object")
            found.add(function["name"])
    return found


def _ids(calls: Any, where: str, known: set[str] | None) -> list[str]:
    """Return the ids of valid calls, all distinct."""
    if not isinstance(calls, list):
        raise RejectedLineError("calls", f"{where} must be a list")
    ids: list[str] = []
    for position, call in enumerate(calls):
        place = f"{where}[{position}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise RejectedLineError("calls", f"{place} must have a function name")
        identifier = call.get("id")
        if not isinstance(identifier, str) or not identifier or identifier in ids:
            raise RejectedLineError("calls", f"{place} must have a unique id")
        if known is not None and function["name"] not in known:
            raise RejectedLineError("calls", f"{place} calls {function['name']!r}, which is not among the row's tools")
        _check_arguments(function.get("arguments"), place)
        ids.append(identifier)
    return ids


def _check_arguments(arguments: Any, place: str) -> None:
    try:
        value = orjson.loads(arguments) if isinstance(arguments, str) else None
    except orjson.JSONDecodeError as error:
        raise RejectedLineError("calls", f"{place}.arguments must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise RejectedLineError("calls", f"{place}.arguments must be a JSON object encoded as a string")
