"""Chat extensions of 2026-11-13: server tools, content check, titles, reminders. Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, NamedTuple

import orjson

from deepseek_async.simulator.model.catalogue import ACCEPTED, FLASH
from deepseek_async.simulator.model.web import TOOLS, declared

# Texts rejected by the review under `safety_check` high. Anything else passes.
UNSAFE_INPUT = "unsafe input"
UNSAFE_OUTPUT = "unsafe output"  # rejected after the last token
UNSAFE_BEGINNING = "unsafe beginning"  # rejected in the middle
RISK = "Content Exists Risk"

_LEVELS = ("high", "low")
_PARTS = frozenset({"text", "image_url", "file"})
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TITLE_WORDS = 5


class Violation(NamedTuple):
    """Why a request is rejected."""

    status: int
    message: str


def offence(body: dict[str, Any]) -> Violation | None:
    """Return the error of a well-formed request's extensions or content, or None."""
    level = (body.get("safety_check") or {}).get("level")
    if level not in (None, *_LEVELS):
        return Violation(400, f"Invalid safety_check level: {level}")
    high = level == "high"
    if high and body.get("tool_choice") not in (None, "auto", "none"):
        return Violation(400, "tool_choice must be auto or none when safety_check level is high")
    if (own := declared(body)) and ACCEPTED[body["model"]] is not FLASH:
        return Violation(400, f"{own[0]} is not supported by {body['model']}")
    for index, message in enumerate(body["messages"]):
        if message["role"] == "latest_reminder" and not _is_dated(message["content"]):
            return Violation(400, f"Invalid 'messages.{index}.content': invalid date")
        if high and message["role"] in ("user", "tool") and UNSAFE_INPUT in orjson.dumps(message).decode().lower():
            return Violation(400, RISK)
    return None


def _is_dated(content: Any) -> bool:
    day = content.partition(",")[0] if isinstance(content, str) else ""
    if not _DATE.fullmatch(day) or content.count(",") < 4:
        return False
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def without_extensions(body: Any) -> Any:
    """Return the equivalent chat request without extensions: blocks of earlier searches become text."""
    if not isinstance(body, dict):
        return body
    made = dict(body)
    tools = made.get("tools")
    if isinstance(tools, list):
        made["tools"] = [tool for tool in tools if not (isinstance(tool, dict) and tool.get("type") in TOOLS)]
        if not made["tools"]:
            del made["tools"]
    if isinstance(made.get("messages"), list):
        made["messages"] = [_as_text(message) for message in made["messages"]]
    return made


def _as_text(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    content, blocks = message.get("content"), message.get("server_tools")
    if isinstance(content, list):
        parts = [part if not _is_block(part) else _text(part) for part in content]
        return {**message, "content": parts}
    if isinstance(blocks, list) and isinstance(content, str):
        return {**message, "content": [*map(_text, blocks), {"type": "text", "text": content}]}
    return message


def _is_block(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] not in _PARTS


def _text(block: Any) -> dict[str, Any]:
    return {"type": "text", "text": orjson.dumps(block).decode()}


def is_reviewed(body: dict[str, Any]) -> bool:
    return (body.get("safety_check") or {}).get("level") == "high"


def title_of(body: dict[str, Any], question: str) -> str | None:
    """Return the title generated with the answer, if requested."""
    if not (body.get("title") or {}).get("enabled"):
        return None
    return " ".join(question.split()[:_TITLE_WORDS]) or None
