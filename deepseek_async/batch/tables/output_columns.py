"""The rows of an output as records of one table: the input's columns, and the answers under the names of ``table``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from deepseek_async.batch.review.columns import as_text
from deepseek_async.batch.review.output_reader import Failure, LineFacts, OutputLine, OutputReader
from deepseek_async.batch.review.row_selection import AskedRow, LatestRun, SelectedRows
from deepseek_async.batch.run_record import defaults_of
from deepseek_async.batch.tables.answer_columns import COUNTED, PARSED, USAGE
from deepseek_async.batch.tables.column_type import ColumnType, MisfitError, Scalar, fitted, property_types
from deepseek_async.errors import StructuredOutputError
from deepseek_async.types.usage import added

_BEFORE: Final[Mapping[str, ColumnType]] = {"index": Scalar.INTEGER, "custom_id": Scalar.TEXT}
_ANSWER: Final[Mapping[str, ColumnType]] = {"answer": Scalar.TEXT}
_AFTER: Final[Mapping[str, ColumnType]] = {
    "error": Scalar.TEXT,
    "usage": USAGE,
    "cost": Scalar.NUMBER,
    "reasoning": Scalar.TEXT,
    "tool_calls": Scalar.TEXT,
    "finish_reason": Scalar.TEXT,
    "model": Scalar.TEXT,
    "attempts": Scalar.INTEGER,
    "started": Scalar.NUMBER,
    "latency": Scalar.NUMBER,
    "request_id": Scalar.TEXT,
    "simulated": Scalar.BOOLEAN,
}
_UNFIT: Final = StructuredOutputError.__name__
_BY_NAME: Final = {
    "int64": Scalar.INTEGER,
    "float64": Scalar.NUMBER,
    "bool_": Scalar.BOOLEAN,
    "string": Scalar.TEXT,
}


class OutputTable:
    """The rows of the latest run of an output, in input order. Does file I/O; call it in a thread.

    A row has one record: ``index`` (its position in the input), ``custom_id``, the input's columns, ``answer``,
    ``parsed.NAME`` for each property of the run's schema (null if the value does not have its type), ``error``,
    ``usage``, ``cost`` and further facts. An input column whose name is taken gets the prefix ``input_``.
    Raises ConfigurationError for what is not an output.
    """

    def __init__(self, output: Path) -> None:
        reader = OutputReader(output)
        reader.read()
        self._asked: SelectedRows = LatestRun(reader)
        run = None if reader.run is None else defaults_of(reader.run)
        self._parsed = {} if run is None or run.form is None else property_types(orjson.loads(run.form.schema))
        answers = {**_ANSWER, **{f"{PARSED}{name}": kind for name, kind in self._parsed.items()}, **_AFTER}
        self._names = self._asked.columns.names(_BEFORE.keys() | answers.keys())
        inputs = {shown: _BY_NAME[self._asked.columns.type(name)] for name, shown in self._names.items()}
        self.types: Final[Mapping[str, ColumnType]] = {**_BEFORE, **inputs, **answers}
        """Columns in order, with their types."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        columns = self._asked.columns
        for row in self._asked.rows():
            inputs = {shown: columns.cell(name, row.columns.get(name)) for name, shown in self._names.items()}
            yield {**inputs, **self._answer(row)}

    def _answer(self, row: AskedRow) -> dict[str, Any]:
        line = row.line or OutputLine(row.custom_id, facts=LineFacts(attempts=0))
        body, error, bills = line.body, row.error, line.bills
        usage = added(bill.usage for bill in bills) if bills else None
        parsed = _object(body.text) if self._parsed else {}
        return {
            "index": row.index,
            "custom_id": row.custom_id,
            "answer": body.text if error is None else _rejected(error),
            **{f"{PARSED}{name}": _cell(kind, parsed.get(name)) for name, kind in self._parsed.items()},
            "error": None if error is None else f"{error.code}: {error.message}",
            "usage": None if usage is None else {name: getattr(usage, name) for name in COUNTED},
            "cost": line.facts.cost,
            "reasoning": body.reasoning,
            "tool_calls": None if body.tool_calls is None else as_text(body.tool_calls),
            "finish_reason": body.finish_reason,
            "model": body.model,
            "attempts": line.facts.attempts,
            "started": line.started,
            "latency": line.facts.latency,
            "request_id": None if line.response is None else line.response.request_id,
            "simulated": line.facts.simulated or None,
        }


def _rejected(error: Failure) -> str | None:
    """Return the text of an answer that did not fit its class."""
    return error.text or None if error.code == _UNFIT and isinstance(error.text, str) else None


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _cell(kind: ColumnType, value: Any) -> Any:
    try:
        return fitted(kind, value)
    except MisfitError:
        return None
