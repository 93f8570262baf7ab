"""Repair of text that UTF-8 cannot encode. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def encodable(text: str) -> str:
    """Join surrogate pairs in ``text`` and replace lone surrogates by U+FFFD; returns the same object if it has none.

    Lone surrogates come from file names that are not UTF-8 and from emoji split across chunks.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def all_encodable(value: Any) -> Any:
    """Apply ``encodable`` to every text of a JSON value, keys included."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {all_encodable(name): all_encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_encodable(item) for item in value]
    return value


def joined(text: str) -> str:
    """Join surrogate pairs that arrived in separate chunks; keeps lone surrogates."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
