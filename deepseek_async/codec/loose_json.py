"""Extraction of JSON from a model's text, tolerating surrounding words and unambiguous slips. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

_THOUGHTS: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
"""Reasoning that a server left in the answer."""

_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))|,(?=\s*[}\]])', re.DOTALL)
"""A string, also an unterminated one, or a comma before a closing bracket."""

Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def found(text: str, pairs: Pairs | None = None) -> dict[str, Any]:
    """Return the one object in ``text``. Raises ValueError for none, or several different ones.

    ``pairs`` builds an object from its fields, and may reject them.
    """
    text = text.lstrip("\ufeff").lstrip()
    thoughts = _THOUGHTS.match(text)
    if thoughts:
        text = text[thoughts.end() :]
    start = text.find("{")
    if start < 0:
        raise ValueError("no JSON object in the text")
    # Accepts raw line breaks inside strings (strict=False) and a trailing comma.
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=pairs)
    text = _COMMA.sub(lambda match: match[1] or "", text[start:])
    object_, end = decoder.raw_decode(text)
    while (start := text.find("{", end)) >= 0:
        other, end = decoder.raw_decode(text, start)
        if other != object_:
            raise ValueError("more than one JSON object in the text")
    assert isinstance(object_, dict)  # noqa: S101  it begins with a brace
    return object_
