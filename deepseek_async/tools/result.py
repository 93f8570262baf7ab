"""Conversion of a function's result, or exception, to text for the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import msgspec

from deepseek_async.text.unicode import encodable

MOST_ITEMS: Final = 100_000
"""Maximum items of a generator; an infinite one would exhaust the memory."""

_MOST_CAUSES: Final = 8
"""Maximum members reported of an exception group."""


def result_text(result: Any) -> str:
    """Convert a result: str and UTF-8 bytes unchanged, an iterator as a list, anything else as JSON or str().

    A lone surrogate becomes U+FFFD. Raises ValueError for an iterator of more than ``MOST_ITEMS`` items.
    """
    if isinstance(result, str):
        return encodable(str(result))
    if isinstance(result, bytes):
        with suppress(UnicodeDecodeError):
            return result.decode()
    if isinstance(result, Iterator):
        result = bounded(list(islice(result, MOST_ITEMS + 1)))

    def plain(value: Any) -> Any:
        dump = getattr(value, "model_dump", None)
        if dump is not None and not isinstance(value, type):
            return dump(mode="json")
        if value is result:
            raise TypeError
        return str(value)

    try:
        return msgspec.json.encode(result, enc_hook=plain).decode()
    except UnicodeEncodeError:
        return encodable(json.dumps(msgspec.to_builtins(result, enc_hook=plain), ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return encodable(str(result))


def bounded(items: list[Any]) -> list[Any]:
    """Return ``items``. Raises ValueError if there are more than ``MOST_ITEMS``."""
    if len(items) > MOST_ITEMS:
        raise ValueError(f"the function returned more than {MOST_ITEMS:,} items")
    return items


def failure_text(what: str) -> str:
    """Return an error as text for the model."""
    return msgspec.json.encode({"error": encodable(what)}).decode()


def raised_text(error: BaseException) -> str:
    """Return type and message of an exception; for a group, those of its members."""
    kind = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{kind}: " + "; ".join(map(raised_text, error.exceptions[:_MOST_CAUSES]))
    try:
        return f"{kind}: {error}"
    except BaseException:  # noqa: BLE001  a __str__ may raise anything
        return kind
