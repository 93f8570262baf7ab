"""Input columns in an export: names and types. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from deepseek_async.batch.cells import as_json, well_formed

ANSWER: Final = {
    "index": "int64",
    "custom_id": "string",
    "content": "string",
    "reasoning": "string",
    "tool_calls": "string",
    "finish_reason": "string",
    "model": "string",
    "prompt_tokens": "int64",
    "cached_tokens": "int64",
    "completion_tokens": "int64",
    "reasoning_tokens": "int64",
    "cost": "float64",
    "attempts": "int64",
    "started": "float64",
    "latency": "float64",
    "request_id": "string",
    "simulated": "bool_",
    "error": "string",
    "error_message": "string",
}
"""Answer columns and their Parquet types."""

_INTEGERS: Final = range(-(1 << 63), 1 << 63)
_EXACT: Final = range(-(1 << 53), (1 << 53) + 1)
_LARGE: Final = "large"
"""Integers beyond this are not exact as floats: in a column with floats they become text, so that joins still match."""
_TEXT: Final = "string"
_NUMBERS: Final = {"int64", "float64"}


class Columns:
    """The columns of all rows, in order of first appearance."""

    def __init__(self) -> None:
        self._types: dict[str, str | None] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the columns of a row."""
        for name, value in row.items():
            before = self._types.setdefault(name, None)
            if value is not None and before != _TEXT:
                self._types[name] = _together(before, _type(value))

    def names(self, answers: Iterable[str] = ANSWER) -> dict[str, str]:
        """Export name of each column; one that collides with one of ``answers`` gets the prefix ``input_``."""
        taken, names = set(answers), dict[str, str]()
        for name in self._types:
            shown = well_formed(name)
            while shown in taken or (shown != name and shown in self._types):
                shown = f"input_{shown}"
            taken.add(shown)
            names[name] = shown
        return names

    def type(self, name: str) -> str:
        """Return the Parquet type of the column."""
        kind = self._types.get(name) or _TEXT
        return "int64" if kind == _LARGE else kind

    def cell(self, name: str, value: Any) -> Any:
        """Convert the value to the column's type."""
        if value is None:
            return None
        kind = self.type(name)
        if kind == _TEXT:
            return as_text(value)
        return float(value) if kind == "float64" else value


def as_text(value: Any) -> str:
    """Return the value as cell text: a string without lone surrogates, anything else as JSON."""
    if isinstance(value, str):
        return well_formed(value)
    text = as_json(value)
    return str(orjson.loads(text)) if text[:1] == b'"' else text.decode()


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool_"
    if isinstance(value, int):
        if value in _EXACT:
            return "int64"
        return _LARGE if value in _INTEGERS else _TEXT
    return "float64" if isinstance(value, float) else _TEXT


def _together(before: str | None, now: str) -> str:
    if before in {None, now}:
        return now
    if {before, now} == {"int64", _LARGE}:
        return _LARGE
    return "float64" if {before, now} <= _NUMBERS else _TEXT
