"""The columns of an input beside the answers: under which names, and of which type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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
"""The columns of an answer, with their types in Parquet."""

_INTEGERS: Final = range(-(1 << 63), 1 << 63)
_EXACT: Final = range(-(1 << 53), (1 << 53) + 1)
_LARGE: Final = "large"
"""Whole numbers that a float cannot hold: beside floats they are texts, so that a join still finds them."""
_TEXT: Final = "string"
_NUMBERS: Final = {"int64", "float64"}


class Columns:
    """The columns that rows have, in the order in which they first come."""

    def __init__(self) -> None:
        self._types: dict[str, str | None] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Note the columns of a row."""
        for name, value in row.items():
            before = self._types.setdefault(name, None)
            if value is not None and before != _TEXT:
                self._types[name] = _together(before, _type(value))

    def names(self) -> dict[str, str]:
        """What each column is called beside the answers: one that is called like one of theirs gets ``input_``."""
        taken, names = set(ANSWER), dict[str, str]()
        for name in self._types:
            shown = well_formed(name)
            while shown in taken or (shown != name and shown in self._types):
                shown = f"input_{shown}"
            taken.add(shown)
            names[name] = shown
        return names

    def type(self, name: str) -> str:
        """The type of the column in Parquet."""
        kind = self._types.get(name) or _TEXT
        return "int64" if kind == _LARGE else kind

    def cell(self, name: str, value: Any) -> Any:
        """The value as one of the column's type."""
        if value is None:
            return None
        kind = self.type(name)
        if kind == _TEXT:
            return as_text(value)
        return float(value) if kind == "float64" else value


def as_text(value: Any) -> str:
    """The value in a cell: a text as it is, but for lone surrogates; anything else as the output itself has it."""
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
