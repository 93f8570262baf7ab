"""Texts that UTF-8 cannot carry, made such that it can. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def encodable(text: str) -> str:
    """``text`` with the halves of a surrogate pair joined, and a lone half as U+FFFD; the same object without any.

    Lone halves come from file names that are no UTF-8, and from emoji that were cut in two.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def all_encodable(value: Any) -> Any:
    """``value`` as JSON has it, with every text in it ``encodable``, names too."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {all_encodable(name): all_encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_encodable(item) for item in value]
    return value


def joined(text: str) -> str:
    """``text`` with the halves of a surrogate pair joined, which came in two pieces; a lone half stays."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
