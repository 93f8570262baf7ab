"""Parser and validator of one line of training data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.codec.tokens import weigh_text
from deepseek_async.finetune.rejection import RejectedLineError
from deepseek_async.finetune.tool_calls import check_calls

_ROLES: Final = ("system", "user", "assistant", "tool")

_MADE_MESSAGES: Final = frozenset({"messages", "prompt", "completion", "system"})

_TURN_TOKENS: Final = 2
"""Approximate tokens of the markers around a turn (measured overhead of the current user turn and of past turns: 4
and 3)."""


class Dialogue(msgspec.Struct, frozen=True):
    """A valid training row."""

    wire: bytes
    """JSON ``{"messages": […]}`` with its other keys, without line feed."""
    content: bytes
    """Text of all messages, normalized in white space and case: equal rows are duplicates."""
    question: bytes
    """Text of the user messages: rows that differ only in their answers belong to the same side of the split."""
    tokens: int


def read_dialogue(line: bytes) -> Dialogue:
    """Parse a line: ``{"messages": […]}``, or ``{"prompt": …, "completion": …}`` for a single turn.

    A ``system`` key becomes the first message; ``tools``, ``functions`` and all other keys stay.
    Raises RejectedLineError.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RejectedLineError("json", f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise RejectedLineError("shape", "must be a JSON object")
    messages = _with_system(row, _messages(row))
    _check_order(messages)
    check_calls(row, messages)
    beside = {name: value for name, value in row.items() if name not in _MADE_MESSAGES}
    try:
        wire = orjson.dumps({"messages": messages, **beside})
    except orjson.JSONEncodeError:
        raise RejectedLineError("shape", "nested too deeply") from None
    spoken = [(message["role"], _spoken(message)) for message in messages]
    offered = {name: row[name] for name in ("tools", "functions") if row.get(name)}
    if offered:
        spoken.insert(0, ("tools", orjson.dumps(offered, option=orjson.OPT_SORT_KEYS).decode()))
    said = [f"{role}\0{_plain(text)}".encode() for role, text in spoken]
    return Dialogue(
        wire=wire,
        content=b"\0\0".join(said),
        question=b"\0\0".join(text for text in said if text.startswith(b"user\0")),
        tokens=int(weigh_text("".join(text for _, text in spoken).encode())) + _TURN_TOKENS * len(spoken),
    )


def _messages(row: dict[str, Any]) -> list[dict[str, Any]]:
    if "messages" in row:
        messages = row["messages"]
        if not isinstance(messages, list) or not messages:
            raise RejectedLineError("shape", "'messages' must be a list of at least one message")
        for position, message in enumerate(messages):
            _check_message(message, position)
        return messages
    if "prompt" in row and "completion" in row:
        pair = [
            {"role": role, "content": row[name]} for role, name in (("user", "prompt"), ("assistant", "completion"))
        ]
        for position, message in enumerate(pair):
            _check_message(message, position)
        return pair
    raise RejectedLineError("shape", "must have 'messages', or 'prompt' and 'completion'")


def _with_system(row: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``messages``, preceded by the row's ``system`` text."""
    text = row.get("system")
    if text is None or text == "":
        return messages
    if not isinstance(text, str):
        raise RejectedLineError("shape", "'system' must be a string")
    if messages[0]["role"] == "system":
        raise RejectedLineError("shape", "must not have both 'system' and a system message")
    return [{"role": "system", "content": text}, *messages]


def _check_message(message: Any, position: int) -> None:
    where = f"messages[{position}]"
    if not isinstance(message, dict):
        raise RejectedLineError("shape", f"{where} must be an object")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise RejectedLineError("role", f"{where}.role must be {', '.join(_ROLES)}, got {role!r}")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise RejectedLineError("shape", f"{where} must have a tool_call_id")
    if role == "assistant" and message.get("tool_calls"):
        if content is None:
            return
    elif content is None or content == "":
        raise RejectedLineError("empty", f"{where} is empty")
    if not isinstance(content, str):
        raise RejectedLineError("shape", f"{where}.content must be a string")
    if not content.strip() and not message.get("tool_calls"):
        raise RejectedLineError("empty", f"{where} is empty")


_MAY_FOLLOW: Final[Mapping[str, tuple[str, ...]]] = {
    "start": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "calls": ("tool",),
    "tool": ("tool", "assistant"),
}


def _check_order(messages: list[dict[str, Any]]) -> None:
    """Check the order: optional system first, then user and assistant alternating, ending with assistant; tool results
    follow their calls.
    """
    state = "start"
    for position, message in enumerate(messages):
        role = message["role"]
        if role not in _MAY_FOLLOW[state]:
            after = "the beginning" if state == "start" else "a tool call" if state == "calls" else f"{state!r}"
            expected = " or ".join(_MAY_FOLLOW[state])
            raise RejectedLineError(
                "order", f"messages[{position}].role after {after} must be {expected}, got {role!r}"
            )
        state = "calls" if role == "assistant" and message.get("tool_calls") else role
    if state != "assistant":
        raise RejectedLineError("order", "must end with an assistant message")


def _spoken(message: dict[str, Any]) -> str:
    text: str = message.get("content") or ""
    calls = message.get("tool_calls")
    return text if not calls else f"{text}\n{orjson.dumps(calls, option=orjson.OPT_SORT_KEYS).decode()}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
