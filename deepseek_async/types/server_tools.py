"""Blocks, items and calls of tools that the service runs itself, told by their words, whatever shape they have. Pure.

DeepSeek has not documented how its web tools look in an answer. Known are Anthropic's blocks, seen on this service
(``server_tool_use``, ``web_search_tool_result``), and the items of the Responses format (``web_search_call`` with
actions ``search``, ``open_page``, ``find_in_page``). New ones are told by the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Step = Literal["search", "read"]

WEB_TOOLS: Final = frozenset({"deepseek_web_search", "deepseek_read_url"})
"""Types under which the service's own tools are declared (DeepSeek docs, Web tools, 2026-11-13)."""

_READING: Final = ("read_url", "open_page", "find_in_page", "fetch", "read_page", "open_url")
_OWN: Final = frozenset({"function", "function_call", "tool_use", "text", "output_text", "message"})
"""What the caller runs, or the model writes."""
_THOUGHT: Final = ("reasoning", "thinking")
_DEEPEST: Final = 32


def step_of(block: Mapping[str, Any]) -> Step | None:
    """Whether ``block`` is a search or the reading of a page that the service makes; None for all else."""
    kind = block.get("type")
    if not isinstance(kind, str) or kind in _OWN or "result" in kind or "citation" in kind:
        return None
    action = block.get("action")
    said = (kind, block.get("name"), action.get("type") if isinstance(action, Mapping) else action)
    words = " ".join(word for word in said if isinstance(word, str))
    if any(word in words for word in _READING):
        return "read"
    return "search" if "search" in words else None


def queries_of(block: Mapping[str, Any]) -> list[str]:
    """What is searched for, as far as ``block`` says it."""
    return [text for name in ("query", "queries") for text in _texts(block, name)]


def address_of(block: Mapping[str, Any]) -> str | None:
    """The page that is read, as far as ``block`` says it."""
    found = _texts(block, "url")
    return without_mark(found[0]) if found else None


def without_mark(url: str) -> str:
    """``url`` without the fragment in which an opened page names its call (``#ws_call_id=…``)."""
    return url.partition("#ws_call_id=")[0]


def _texts(block: Mapping[str, Any], name: str) -> list[str]:
    for holder in (block.get("input"), block.get("action"), block):
        value = holder.get(name) if isinstance(holder, Mapping) else None
        if isinstance(value, str) and value:
            return [value]
        if isinstance(value, list) and (texts := [text for text in value if isinstance(text, str)]):
            return texts
    return []


def objects_in(value: Any, *, into_steps: bool = True) -> Iterator[Mapping[str, Any]]:
    """Every object in ``value``, itself included, in the order in which they stand there.

    Without ``into_steps`` not what stands in a search or a reading: its ``action`` is told by the same words.
    """
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, Mapping):
            yield found
            inner = list(found.values()) if into_steps or step_of(found) is None else []
        elif isinstance(found, list | tuple):
            inner = list(found)
        else:
            continue
        if depth < _DEEPEST:
            waiting += [(item, depth + 1) for item in reversed(inner)]


def holds_block(value: Any) -> bool:
    """Whether somewhere in ``value`` something with a type of its own stands, which is no reasoning: it was said."""
    return any(
        isinstance(kind := found.get("type"), str) and kind and not any(word in kind for word in _THOUGHT)
        for found in objects_in(value)
    )


def has_steps(value: Any) -> bool:
    """Whether the service searched or read for an answer: by what it says, or by what it counts."""
    for found in objects_in(value):
        if step_of(found) is not None:
            return True
        counted = found.get("server_tool_use")
        if isinstance(counted, Mapping) and any(type(count) is int and count > 0 for count in counted.values()):
            return True
    return False
