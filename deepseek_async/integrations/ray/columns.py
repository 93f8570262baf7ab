"""Conversion between dataset batches and rows, for Arrow, pandas and NumPy batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from deepseek_async.batch.cells import from_text, without_nulls
from deepseek_async.batch.data_frames import as_table
from deepseek_async.batch.input_record import PARAMETERS
from deepseek_async.batch.reused_answers import ReusedAnswer
from deepseek_async.batch.row import Defaults, Row, RowReader, check_columns
from deepseek_async.errors import ConfigurationError

REQUEST: Final = "request"
"""Column that holds whole requests."""
ADDED: Final = ("answer", "error", "usage", "cost", "hash")
_USAGE: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


def rows_of(batch: Any, defaults: Defaults) -> list[Row]:
    """Convert a batch to rows, by the rules of ``client.batch``. Raises ConfigurationError if it has no prompt column.

    Columns that are not part of the request are not read.
    """
    columns = names_of(batch)
    whole = defaults.template is None and REQUEST in columns
    reader = RowReader(defaults)
    if not whole:
        check_columns(defaults, columns, "the dataset has: " + ", ".join(columns))
        reader.reads_table(columns, typed=True)
    asked = {REQUEST, reader.id_column} if whole else {*PARAMETERS, *reader.shown, reader.id_column}
    chosen = [name for name in columns if name in asked]
    records = _records(batch, chosen)
    if whole:
        return [reader.read(_request(record, reader.id_column)) for record in records]
    reader.reads_table(chosen, typed=True)  # the others are not there to be carried
    return [reader.read(record) for record in records]


def names_of(batch: Any) -> list[str]:
    """Return the column names of a batch."""
    if isinstance(batch, Mapping):
        return [str(name) for name in batch]
    return [str(name) for name in (batch.schema.names if hasattr(batch, "schema") else batch.columns)]


def with_answers(batch: Any, ends: Sequence[ReusedAnswer], prefix: str) -> Any:
    """Return the batch with result columns added, in the same format."""
    added = {f"{prefix}{name}": column for name, column in zip(ADDED, _added(ends), strict=True)}
    if isinstance(batch, Mapping):
        import numpy as np  # noqa: PLC0415  installed with Ray Data

        columns = dict(batch)
        for name, column in added.items():
            values = column.to_pylist()
            columns[name] = array = np.empty(len(values), dtype=object)
            array[:] = values
        return columns
    if hasattr(batch, "append_column"):
        for name, column in added.items():
            batch = batch.append_column(name, column)
        return batch
    return batch.assign(**{name: column.to_pylist() for name, column in added.items()})


def check_names(columns: Sequence[str], prefix: str) -> None:
    """Raise ConfigurationError if the dataset already has one of the added columns."""
    taken = [f"{prefix}{name}" for name in ADDED if f"{prefix}{name}" in columns]
    if taken:
        raise ConfigurationError(
            f"the dataset already has a column {taken[0]!r}: rename it, or rename the added columns, for example with "
            "prefix='deepseek_'"
        )


def _added(ends: Sequence[ReusedAnswer]) -> Iterator[Any]:
    """Yield typed columns, so that a batch without any answer or error has the same schema as every other."""
    import pyarrow as pa  # noqa: PLC0415  installed with Ray Data

    yield pa.array([end.text for end in ends], pa.string())
    yield pa.array([end.error for end in ends], pa.string())
    usages = [end.usage for end in ends]
    yield pa.array(
        [None if usage is None else {name: getattr(usage, name) for name in _USAGE} for usage in usages],
        pa.struct([(name, pa.int64()) for name in _USAGE]),
    )
    yield pa.array([end.cost for end in ends], pa.float64())
    yield pa.array([f"{end.hashed:016x}" for end in ends], pa.string())


def _records(batch: Any, chosen: list[str]) -> Iterator[dict[str, Any]]:
    if isinstance(batch, Mapping):
        columns = [batch[name].tolist() if hasattr(batch[name], "tolist") else list(batch[name]) for name in chosen]
        return (dict(zip(chosen, values, strict=True)) for values in zip(*columns, strict=True))
    table = as_table(batch.select(chosen) if hasattr(batch, "select") else batch[chosen])
    if table is None:
        raise ConfigurationError(
            f"batch_format of map_batches must be pyarrow, pandas or numpy, got a {type(batch).__name__}"
        )
    return iter(table)


def _request(record: Mapping[str, Any], id_column: str) -> Any:
    value = record[REQUEST]
    if isinstance(value, str):
        value = from_text(value, number=False)
    elif hasattr(value, "tolist"):
        value = value.tolist()
    value = without_nulls(value)
    if record.get(id_column) is None:
        return value
    named = {id_column: record[id_column]}
    if isinstance(value, Mapping):
        return {**value, **named}
    return {"messages" if isinstance(value, list) else "prompt": value, **named}
