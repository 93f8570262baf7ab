"""Texts in any form: as a string, in parts, or as the JSON value itself. Pure."""

from __future__ import annotations

from typing import Any, Final

from deepseek_async.types.json_text import write

_IN_A_PART: Final = ("text", "content", "value", "refusal")
"""Fields that hold the text of a part in OpenAI's chat and assistants."""

_PARTS: Final = ("text", "output_text", "refusal")
"""Types of text parts."""

_PLAIN: Final = frozenset({"type", "text"})

_THOUGHTS: Final = ("thinking", "reasoning")
"""Types of reasoning parts (Mistral, Anthropic), and the fields that hold it."""


def is_block(part: Any) -> bool:
    """Whether ``part`` of a content is neither text nor reasoning: a search, its results, or an unknown type."""
    if not isinstance(part, dict) or not isinstance(kind := part.get("type"), str):
        return False
    return bool(kind) and kind not in _PARTS and kind not in _THOUGHTS and not isinstance(part.get("text"), str)


def holds_more(parts: list[Any]) -> bool:
    """Whether ``parts`` contain more than text and reasoning: blocks, or citations beside a text."""
    return any(isinstance(part, dict) and not (is_plain(part) or _is_thought(part)) for part in parts)


def is_plain(part: dict[str, Any]) -> bool:
    """Whether ``part`` is plain text."""
    return part.keys() <= _PLAIN and "text" in part


def without_blocks(parts: list[Any]) -> list[Any] | None:
    """Return the text and reasoning parts; None if there are none."""
    return [part for part in parts if not is_block(part)] or None


def is_nothing(value: Any, name: str) -> bool:
    """Whether ``value``, not a string, means that ``name`` is empty."""
    if value is False:
        return name in {"reasoning_content", "reasoning", "refusal"}
    return value in ([], {})


def text_of(value: Any) -> str:
    """Return ``value`` as a string: parts joined, any other value as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = [text for part in value if (text := _of_part(part)) is not None]
        if texts:
            return "".join(texts)
    elif isinstance(value, dict) and value.get("type") in _PARTS:
        # Any other object is an answer in JSON, which may have fields of these names.
        return _of_part(value) or ""
    return write(value).decode()


def parted(parts: list[Any]) -> tuple[str | None, str]:
    """Return the text of ``parts`` without reasoning (None if there is none), and the reasoning."""
    thoughts = [part for part in parts if _is_thought(part)]
    others = [part for part in parts if not _is_thought(part)]
    return text_of(others) if others else None, "".join(map(_thought, thoughts))


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


def _thought(part: dict[str, Any]) -> str:
    said = next((part[name] for name in (*_THOUGHTS, "text") if part.get(name)), "")
    return text_of(said) if said else ""


def _of_part(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        for name in _IN_A_PART:
            said = part.get(name)
            if isinstance(said, str):
                return said
            if isinstance(said, dict) and isinstance(said.get("value"), str):
                return str(said["value"])
    return None
