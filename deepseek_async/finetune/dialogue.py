"""One line of training data: is it a dialogue that a model can learn from? Pure."""

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
"""Markers around a turn in the prompt, about (measured overheads of one user turn and of past turns: 4 and 3)."""


class Dialogue(msgspec.Struct, frozen=True):
    """A row that can be trained on."""

    wire: bytes
    """As JSON, ``{"messages": […]}`` with what stood beside them, without its line feed."""
    content: bytes
    """What is said, without differences in white space and case: equal rows are duplicates."""
    question: bytes
    """What the user says of it: rows that differ in the answers alone belong to one side of the split."""
    tokens: int


def read_dialogue(line: bytes) -> Dialogue:
    """The dialogue in a line: ``{"messages": […]}``, or ``{"prompt": …, "completion": …}`` for a single turn.

    A ``system`` beside them becomes the first message; ``tools``, ``functions`` and whatever else is there stay.
    Raises RejectedLineError.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RejectedLineError("json", f"is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise RejectedLineError("shape", "is not a JSON object")
    messages = _with_system(row, _messages(row))
    _check_order(messages)
    check_calls(row, messages)
    beside = {name: value for name, value in row.items() if name not in _MADE_MESSAGES}
    try:
        wire = orjson.dumps({"messages": messages, **beside})
    except orjson.JSONEncodeError:
        raise RejectedLineError("shape", "is nested too deeply") from None
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
            raise RejectedLineError("shape", "'messages' is not a list of at least one message")
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
    raise RejectedLineError("shape", "has neither 'messages' nor 'prompt' and 'completion'")


def _with_system(row: dict[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``messages``, led by what the row says beside them as ``system``."""
    text = row.get("system")
    if text is None or text == "":
        return messages
    if not isinstance(text, str):
        raise RejectedLineError("shape", "'system' is not a text")
    if messages[0]["role"] == "system":
        raise RejectedLineError("shape", "has a 'system' and a system message: which of the two is meant?")
    return [{"role": "system", "content": text}, *messages]


def _check_message(message: Any, position: int) -> None:
    where = f"messages[{position}]"
    if not isinstance(message, dict):
        raise RejectedLineError("shape", f"{where} is not an object")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise RejectedLineError("role", f"{where} has the role {role!r}; there is {', '.join(_ROLES)}")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise RejectedLineError("shape", f"{where} has no tool_call_id")
    if role == "assistant" and message.get("tool_calls"):
        if content is None:
            return
    elif content is None or content == "":
        raise RejectedLineError("empty", f"{where} says nothing")
    if not isinstance(content, str):
        raise RejectedLineError("shape", f"{where}.content is not a text")
    if not content.strip() and not message.get("tool_calls"):
        raise RejectedLineError("empty", f"{where} says nothing")


_MAY_FOLLOW: Final[Mapping[str, tuple[str, ...]]] = {
    "start": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "calls": ("tool",),
    "tool": ("tool", "assistant"),
}


def _check_order(messages: list[dict[str, Any]]) -> None:
    """System first if at all, then user and assistant in turn, an assistant's last; results follow their calls."""
    state = "start"
    for position, message in enumerate(messages):
        role = message["role"]
        if role not in _MAY_FOLLOW[state]:
            after = "the beginning" if state == "start" else "a call of a tool" if state == "calls" else f"{state!r}"
            expected = " or ".join(_MAY_FOLLOW[state])
            raise RejectedLineError("order", f"messages[{position}] is {role!r} after {after}; expected {expected}")
        state = "calls" if role == "assistant" and message.get("tool_calls") else role
    if state != "assistant":
        raise RejectedLineError("order", "does not end with the assistant's answer, from which a model learns")


def _spoken(message: dict[str, Any]) -> str:
    text: str = message.get("content") or ""
    calls = message.get("tool_calls")
    return text if not calls else f"{text}\n{orjson.dumps(calls, option=orjson.OPT_SORT_KEYS).decode()}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
