"""The tools of a training row: are they described, are their calls whole, has each call its result? Pure."""

from __future__ import annotations

from typing import Any

import orjson

from deepseek_async.finetune.rejection import RejectedLineError


def check_calls(row: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Raise RejectedLineError for what a model would learn to do wrong."""
    known = _names(row)
    open_calls: list[str] = []
    """Calls without a result yet."""
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise RejectedLineError("calls", f"{where} answers {message['tool_call_id']!r}, which is no open call")
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            raise RejectedLineError("calls", f"the call {open_calls[0]!r} has no result before {where}")
        if message["role"] == "assistant" and message.get("tool_calls"):
            open_calls = _ids(message["tool_calls"], f"{where}.tool_calls", known)


def _names(row: dict[str, Any]) -> set[str] | None:
    """The functions that the row offers; None if it offers none."""
    if row.get("tools") is None and row.get("functions") is None:
        return None
    found: set[str] = set()
    for field in ("tools", "functions"):
        offered = row.get(field)
        if offered is None:
            continue
        if not isinstance(offered, list):
            raise RejectedLineError("tools", f"{field!r} is not a list")
        for position, tool in enumerate(offered):
            function = tool.get("function") if field == "tools" and isinstance(tool, dict) else tool
            if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
                raise RejectedLineError("tools", f"{field}[{position}] names no function")
            if not isinstance(function.get("parameters", {}), dict):
                raise RejectedLineError("tools", f"{field}[{position}] has parameters that are no JSON Schema")
            found.add(function["name"])
    return found


def _ids(calls: Any, where: str, known: set[str] | None) -> list[str]:
    """The ids of whole calls, no two alike."""
    if not isinstance(calls, list):
        raise RejectedLineError("calls", f"{where} is not a list")
    ids: list[str] = []
    for position, call in enumerate(calls):
        place = f"{where}[{position}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise RejectedLineError("calls", f"{place} names no function")
        identifier = call.get("id")
        if not isinstance(identifier, str) or not identifier or identifier in ids:
            raise RejectedLineError("calls", f"{place} has no id of its own")
        if known is not None and function["name"] not in known:
            raise RejectedLineError("calls", f"{place} calls {function['name']!r}, which the row does not offer")
        _check_arguments(function.get("arguments"), place)
        ids.append(identifier)
    return ids


def _check_arguments(arguments: Any, place: str) -> None:
    try:
        value = orjson.loads(arguments) if isinstance(arguments, str) else None
    except orjson.JSONDecodeError as error:
        raise RejectedLineError("calls", f"{place} has arguments that are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RejectedLineError("calls", f"{place} has arguments that are no object in a text of JSON")
