"""Traversal of all texts of a JSON value, in known and unknown fields. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

_WORDS: Final = frozenset(
    {
        "call_id",
        "effort",
        "encoding_format",
        "finish_reason",
        "format",
        "id",
        "item_id",
        "media_type",
        "model",
        "object",
        "previous_response_id",
        "purpose",
        "quality",
        "reasoning_effort",
        "role",
        "service_tier",
        "size",
        "status",
        "stop_reason",
        "system_fingerprint",
        "tool_call_id",
        "tool_use_id",
        "type",
    },
)
"""Fields whose values are API constants and ids, which may look like telephone numbers."""

_BYTES: Final = frozenset({"b64_json", "embedding", "encrypted_content", "file_data"})
"""Fields whose values are base64 data."""

_BYTES_OF: Final = {"data": frozenset({"base64", "redacted_thinking"}), "signature": frozenset({"thinking"})}
"""Base64 fields of objects of these types only: tool arguments may use the same names."""

_BINARY: Final = re.compile(r"data:[^,]{0,200};base64,")

_SHORTEST: Final = 10
"""Characters of the shortest secret that a pattern matches: ``pwd=123456``."""

_MAPPINGS: Final = (dict, Mapping)
"""``dict`` first: it is the common case and cheap to test."""
_NUMBERS: Final = frozenset({int, float, bool, type(None)})

LOGPROBS: Final = "logprobs"
"""Field that repeats the text in pieces, in which no pattern matches."""

_NO_TEXTS: Final = _BYTES | {LOGPROBS}


class TextLocation(msgspec.Struct, frozen=True, gc=False):
    """Position of a text in a copied value."""

    container: Any
    at: Any
    text: str
    prose: bool
    """Whether it is free text; API constants are checked only for secrets."""
    name: bool = False
    """Whether it is a field name."""
    choice: dict[str, Any] | None = None
    """Choice that holds the log probabilities of this text."""

    def put(self, text: str) -> None:
        """Replace the text at this position."""
        if self.name:
            self.container[text] = self.container.pop(self.at)
        else:
            self.container[self.at] = text
        if self.choice is not None:
            self.choice[LOGPROBS] = None


def collected(value: Any) -> tuple[list[str], list[str]]:
    """Return the free texts of ``value``, and its API constants and field names long enough to be a secret."""
    texts: list[str] = []
    words: list[str] = []
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, _MAPPINGS):
            for name, item in value.items():
                if isinstance(item, str):
                    if len(item) < _SHORTEST or not (_is_binary(name, item) or _is_bytes_of(name, value)):
                        (words if name in _WORDS else texts).append(item)
                elif item.__class__ not in _NUMBERS and name not in _NO_TEXTS:
                    waiting.append(item)
                if len(name) >= _SHORTEST:
                    words.append(name)
        elif isinstance(value, list | tuple):
            for item in value:
                if isinstance(item, str):
                    texts.append(item)
                elif item.__class__ not in _NUMBERS:
                    waiting.append(item)
    return texts, words


def copied(value: Any) -> tuple[Any, list[TextLocation]]:
    """Copy ``value`` and return the copy with the positions of its texts."""
    places: list[TextLocation] = []
    return _copied(value, places, None), places


def _copied(value: Any, places: list[TextLocation], choice: dict[str, Any] | None) -> Any:
    if isinstance(value, Mapping):
        mapping: dict[Any, Any] = dict(value)
        if mapping.get(LOGPROBS) is not None and not isinstance(mapping[LOGPROBS], bool | int):
            choice = mapping
        for name, item in value.items():
            if isinstance(item, str):
                places.extend(_place(mapping, name, item, choice))
            elif item.__class__ not in _NUMBERS and name not in _NO_TEXTS:
                mapping[name] = _copied(item, places, choice)
        # Names after values: renaming a field first would invalidate the positions of its values.
        names = (name for name in value if isinstance(name, str) and len(name) >= _SHORTEST)
        places.extend(TextLocation(mapping, name, name, prose=False, name=True) for name in names)
        return mapping
    if isinstance(value, list | tuple):
        items = list(value)
        for position, item in enumerate(items):
            if isinstance(item, str):
                places.extend(_place(items, position, item, choice))
            elif item.__class__ not in _NUMBERS:
                items[position] = _copied(item, places, choice)
        return items
    return value


def _place(container: Any, at: Any, text: str, choice: dict[str, Any] | None) -> Iterator[TextLocation]:
    prose = at not in _WORDS
    if text and (prose or len(text) >= _SHORTEST) and not (_is_binary(at, text) or _is_bytes_of(at, container)):
        yield TextLocation(container, at, text, prose=prose, choice=choice)


def _is_binary(at: Any, text: str) -> bool:
    return at in _BYTES or (text.startswith("data:") and _BINARY.match(text) is not None)


def _is_bytes_of(at: Any, container: Any) -> bool:
    """Whether the type of the enclosing object marks the field ``at`` as base64 data."""
    types = _BYTES_OF.get(at) if isinstance(at, str) else None
    return types is not None and str(container.get("type")) in types
