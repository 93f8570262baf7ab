"""What the model is told of a call: what a function returned, or what it raised, as text that can be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import msgspec

from deepseek_async.text.unicode import encodable

MOST_ITEMS: Final = 100_000
"""Of a generator. One without an end would take all memory."""

_MOST_CAUSES: Final = 8
"""Of an exception group."""


def result_text(result: Any) -> str:
    """A str, and bytes that are one, as they are; an iterator as the list of what it gives; all else as JSON or str().

    A lone surrogate becomes U+FFFD. Raises ValueError for an iterator of more than ``MOST_ITEMS``.
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
    """``items`` if there are not too many of them. Raises ValueError."""
    if len(items) > MOST_ITEMS:
        raise ValueError(f"the function gives more than {MOST_ITEMS:,} items")
    return items


def failure_text(what: str) -> str:
    """An error, as the model is told it."""
    return msgspec.json.encode({"error": encodable(what)}).decode()


def raised_text(error: BaseException) -> str:
    """What a function raised: its kind and its message, of a group those of its members."""
    kind = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{kind}: " + "; ".join(map(raised_text, error.exceptions[:_MOST_CAUSES]))
    try:
        return f"{kind}: {error}"
    except BaseException:  # noqa: BLE001  a __str__ may raise anything
        return kind
