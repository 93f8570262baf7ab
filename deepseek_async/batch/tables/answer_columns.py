"""Columns of a table's answers: filled by row, whatever the order in which they arrive. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.cells import well_formed
from deepseek_async.batch.failed_row import rejected_content
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.review.columns import as_text
from deepseek_async.batch.tables.column_type import ColumnType, Fields, Scalar, fitted_column, property_types
from deepseek_async.errors import ConfigurationError, StructuredOutputError

COUNTED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
USAGE: Final = Fields(dict.fromkeys(COUNTED, Scalar.INTEGER))
PARSED: Final = "parsed."


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What a table keeps of a row's result."""

    text: str | None
    error: str | None
    usage: tuple[int, int, int, int] | None
    cost: float | None
    parsed: Any = None
    """The answer as JSON values, if it was parsed."""
    calls: str | None = None
    """The tool calls as JSON, if there are any."""

    @classmethod
    def of(cls, result: BatchResult) -> Answered:
        """Build it from the result."""
        error = None if result.error is None else f"{type(result.error).__name__}: {result.error.message}"
        used = result.usage
        usage = None
        if used is not None:
            usage = (used.prompt_tokens, used.cached_tokens, used.completion_tokens, used.reasoning_tokens)
        text = result.content
        if text is None and isinstance(result.error, StructuredOutputError):
            text = rejected_content(result.error) or None
        return cls(text, error, usage, result.cost, json_values(result.parsed), _calls_of(result))

    @property
    def is_paid(self) -> bool:
        """Whether the row has an answer."""
        return self.error is None and (self.text is not None or self.usage is not None)


_UNANSWERED: Final = Answered(None, None, None, None)
"""A row that was skipped because a cell of its prompt is empty."""


class AnswerColumns:
    """The columns ``answer``, ``parsed.*``, ``error``, ``usage`` and ``cost`` of a table with ``size`` rows.

    ``schema`` is the JSON Schema of the parsed answers, None if they are texts; ``calls`` adds ``tool_calls``.
    """

    def __init__(self, size: int, schema: str | None = None, prefix: str = "", *, calls: bool = False) -> None:
        self.size: Final = size
        self._calls = calls
        self._rows: list[Answered | None] = [None] * size
        self._prefix = prefix
        self._parsed = {} if schema is None else property_types(orjson.loads(schema))

    def check_names(self, columns: Sequence[str]) -> None:
        """Raise ConfigurationError if the table already has one of the columns."""
        for name in self._types():
            if name in columns:
                raise ConfigurationError(
                    f"the table already has a column {name!r}: rename it, or the added columns, for example with "
                    "prefix='deepseek_'"
                )

    def put(self, row: int, answered: Answered) -> None:
        """Store what became of a row."""
        self._rows[row] = answered

    def leave_out(self, row: int) -> None:
        """Store that a row was skipped."""
        self._rows[row] = _UNANSWERED

    def of(self, row: int) -> Answered | None:
        """Return what became of a row; None if it has not ended."""
        return self._rows[row]

    @property
    def missing(self) -> int:
        """Rows of which nothing is known."""
        return self._rows.count(None)

    def built(self) -> dict[str, tuple[ColumnType, list[Any]]]:
        """Return each column's type and values, by name and in order."""
        rows = [row or _UNANSWERED for row in self._rows]
        types = self._types()
        columns: list[tuple[ColumnType, list[Any]]] = [(Scalar.TEXT, [_shown(row.text) for row in rows])]
        for name, kind in self._parsed.items():
            read = [row.parsed.get(name) if isinstance(row.parsed, Mapping) else None for row in rows]
            columns.append(fitted_column(kind, read))
        used = [None if row.usage is None else dict(zip(COUNTED, row.usage, strict=True)) for row in rows]
        columns += [
            (Scalar.TEXT, [_shown(row.error) for row in rows]),
            (USAGE, used),
            (Scalar.NUMBER, [row.cost for row in rows]),
        ]
        if self._calls:
            columns.append((Scalar.TEXT, [row.calls for row in rows]))
        return dict(zip(types, columns, strict=True))

    def without_rows(self) -> dict[str, tuple[ColumnType, list[Any]]]:
        """Return the columns of a table without rows."""
        return {name: (kind, []) for name, kind in self._types().items()}

    def _types(self) -> dict[str, ColumnType]:
        types: dict[str, ColumnType] = {
            "answer": Scalar.TEXT,
            **{f"{PARSED}{name}": kind for name, kind in self._parsed.items()},
            "error": Scalar.TEXT,
            "usage": USAGE,
            "cost": Scalar.NUMBER,
            **({"tool_calls": Scalar.TEXT} if self._calls else {}),
        }
        return {f"{self._prefix}{name}": kind for name, kind in types.items()}


def _calls_of(result: BatchResult) -> str | None:
    completion = result.completion
    calls = completion.choices[0].message.tool_calls if completion is not None and completion.choices else None
    return as_text([call.to_dict() for call in calls]) if calls else None


def _shown(text: str | None) -> str | None:
    return text if text is None or text.isascii() else well_formed(text)


def json_values(parsed: Any) -> Any:
    """Return a parsed answer as JSON values; None if it cannot be written as JSON."""
    if parsed is None:
        return None
    try:
        return _dumped(parsed) if hasattr(parsed, "model_dump") else msgspec.to_builtins(parsed, enc_hook=_dumped)
    except Exception:  # noqa: BLE001  a serializer of the user's class; the answer is kept as text
        return None


def _dumped(value: Any) -> Any:
    """Dump a pydantic model under the names of its JSON Schema. Raises NotImplementedError for another object."""
    if not hasattr(value, "model_dump"):
        raise NotImplementedError
    return value.model_dump(mode="json", by_alias=True)
