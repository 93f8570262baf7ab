"""Recognition of tool steps run by the service itself, by the words in their type, in any format. Pure.

DeepSeek has not documented how its web tools appear in an answer. Known are Anthropic's blocks, seen on this service
(``server_tool_use``, ``web_search_tool_result``), and the items of the Responses format (``web_search_call`` with
actions ``search``, ``open_page``, ``find_in_page``). New ones are recognized by the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Step = Literal["search", "read"]

WEB_TOOLS: Final = frozenset({"deepseek_web_search", "deepseek_read_url"})
"""Types that declare the service's own tools (DeepSeek docs, Web tools, 2026-11-13)."""

_READING: Final = ("read_url", "open_page", "find_in_page", "fetch", "read_page", "open_url")
_OWN: Final = frozenset({"function", "function_call", "tool_use", "text", "output_text", "message"})
"""Run by the caller, or written by the model."""
_THOUGHT: Final = ("reasoning", "thinking")
_DEEPEST: Final = 32


def step_of(block: Mapping[str, Any]) -> Step | None:
    """Classify ``block`` as a search or page read by the service; None for anything else."""
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
    """Return the search queries in ``block``."""
    return [text for name in ("query", "queries") for text in _texts(block, name)]


def address_of(block: Mapping[str, Any]) -> str | None:
    """Return the URL of the page read, if ``block`` contains it."""
    found = _texts(block, "url")
    return without_mark(found[0]) if found else None


def without_mark(url: str) -> str:
    """Return ``url`` without the fragment that names the call of an opened page (``#ws_call_id=…``)."""
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
    """Yield every object in ``value``, itself included, in document order.

    Without ``into_steps``, skips the contents of searches and page reads: their ``action`` has the same words.
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
    """Whether ``value`` contains an object with a type, other than reasoning: content of the answer."""
    return any(
        isinstance(kind := found.get("type"), str) and kind and not any(word in kind for word in _THOUGHT)
        for found in objects_in(value)
    )


def has_steps(value: Any) -> bool:
    """Whether the service searched or read pages for an answer, by its blocks or its counters."""
    for found in objects_in(value):
        if step_of(found) is not None:
            return True
        counted = found.get("server_tool_use")
        if isinstance(counted, Mapping) and any(type(count) is int and count > 0 for count in counted.values()):
            return True
    return False
