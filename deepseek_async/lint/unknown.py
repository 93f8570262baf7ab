"""Unknown values in a request: noted, and hidden from the rules. Pure.

The API grows, and only the service knows what it accepts. An unknown role, part, tool or value is never rejected here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeGuard

import msgspec

from deepseek_async.lint.finding import Finding, Request
from deepseek_async.types.server_tools import WEB_TOOLS

STRANGER: Final = "?"
"""Placeholder for a role or type that the rules ignore."""

_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "latest_reminder"})
_PARTS: Final = frozenset({"text", "image_url", "file"})
_CALLS: Final = frozenset({"function"})
_FORMATS: Final = frozenset({"text", "json_object", "json_schema", "regex"})
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"})
_THINKING: Final = frozenset({"enabled", "disabled", "adaptive"})
_CHOICES: Final = frozenset({"none", "auto", "required"})
_DETAILS: Final = frozenset({"low", "high", "original", "auto"})


def known_part(request: Request) -> tuple[Request, list[Finding]]:
    """Return the known part of ``request``, with positions unchanged, and a note for each unknown value."""
    notes: dict[str, Finding] = {}
    known = dict(request)
    for note in (*_words(known), *_messages(known), *_tools(known)):
        notes.setdefault(note.code, note)
    return known, list(notes.values())


def _note(kind: str, place: str, word: str) -> Finding:
    return Finding(
        f"unknown:{kind}",
        place,
        f"{word[:200]!r} is unknown to this version; sent unchanged",
        refused=False,
        known=False,
    )


def _is_strange(value: Any, known: frozenset[str]) -> TypeGuard[str]:
    return isinstance(value, str) and value not in known


def _words(known: Request) -> Iterator[Finding]:
    if _is_strange(effort := known.get("reasoning_effort"), _EFFORTS):
        yield _note("reasoning_effort", "reasoning_effort", effort)
        del known["reasoning_effort"]
    if _is_strange(choice := known.get("tool_choice"), _CHOICES):
        yield msgspec.structs.replace(_note("tool_choice", "tool_choice", choice), code="tool_choice")
        del known["tool_choice"]
    for name, words in (("thinking", _THINKING), ("response_format", _FORMATS), ("tool_choice", _CALLS)):
        value = known.get(name)
        if isinstance(value, dict) and _is_strange(kind := value.get("type"), words):
            if not (name == "tool_choice" and kind in WEB_TOOLS):
                yield _note(name, f"{name}.type", kind)
            del known[name]


def _messages(known: Request) -> Iterator[Finding]:
    messages = known.get("messages")
    if not isinstance(messages, list):
        return
    known["messages"] = seen = list(messages)
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        place = f"messages[{at}]"
        if _is_strange(role := message.get("role"), _ROLES):
            yield _note("role", f"{place}.role", role)
            seen[at] = {"role": STRANGER}
            continue
        made = dict(message)
        yield from _members(made, "content", _PARTS, "part", place)
        if role == "assistant":
            yield from _members(made, "tool_calls", _CALLS, "tool_call", place)
        yield from _details(made, place)
        seen[at] = made


def _members(message: Request, name: str, words: frozenset[str], kind: str, place: str) -> Iterator[Finding]:
    members = message.get(name)
    if not isinstance(members, list):
        return
    message[name] = seen = list(members)
    for at, member in enumerate(members):
        if isinstance(member, dict) and _is_strange(word := member.get("type"), words):
            yield _note(kind, f"{place}.{name}[{at}].type", word)
            seen[at] = {"type": STRANGER}


def _details(message: Request, place: str) -> Iterator[Finding]:
    for at, part in enumerate(message["content"] if isinstance(message.get("content"), list) else ()):
        image = part.get("image_url") if isinstance(part, dict) else None
        if isinstance(image, dict) and _is_strange(word := image.get("detail"), _DETAILS):
            yield _note("image_detail", f"{place}.content[{at}].image_url.detail", word)
            kept = {name: value for name, value in image.items() if name != "detail"}
            message["content"][at] = {**part, "image_url": kept}


def _tools(known: Request) -> Iterator[Finding]:
    tools = known.get("tools")
    if not isinstance(tools, list):
        return
    known["tools"] = seen = list(tools)
    for at, tool in enumerate(tools):
        if isinstance(tool, dict) and _is_strange(kind := tool.get("type"), _CALLS):
            if kind not in WEB_TOOLS:
                yield _note("tool", f"tools[{at}].type", kind)
            seen[at] = {"type": STRANGER}
