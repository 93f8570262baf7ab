"""Data frames and Arrow tables as rows; iterating over a data frame itself yields its column names."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any, Final

from deepseek_async.batch.delimited import told_apart
from deepseek_async.errors import ConfigurationError

_ROWS: Final = 256


class Table(Iterable[dict[str, Any]]):
    """Rows of a pandas or polars data frame or a pyarrow table, created lazily."""

    def __init__(self, columns: Iterable[Any], rows: Iterator[Iterable[Any]]) -> None:
        self.columns = told_apart([str(name) for name in columns])
        self._rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, map(_plain, values), strict=True)) for values in self._rows)


def as_table(requests: Iterable[Any] | AsyncIterable[Any]) -> Table | None:
    """Return ``requests`` as a table, or None if it is not one. Raises ConfigurationError for an unsupported frame.

    Detected by methods, so that none of these libraries is imported here.
    """
    frame: Any = requests
    if hasattr(frame, "itertuples") and hasattr(frame, "columns"):
        return Table(frame.columns, frame.itertuples(index=False, name=None))
    if hasattr(frame, "iter_rows") and hasattr(frame, "columns"):
        return Table(frame.columns, frame.iter_rows())
    if hasattr(frame, "schema") and hasattr(frame, "to_pylist"):
        return Table(frame.schema.names, _arrow_rows(frame))
    if hasattr(frame, "collect_schema") or hasattr(frame, "__dataframe__"):
        raise ConfigurationError(
            f"requests must have rows, got {type(frame).__name__}: pass a pandas or polars data frame (.collect(), "
            ".to_pandas()), a pyarrow table, or a list of dicts",
        )
    return None


def _arrow_rows(table: Any) -> Iterator[Iterable[Any]]:
    for start in range(0, table.num_rows, _ROWS):
        columns = (_arrow_values(column) for column in table.slice(start, _ROWS).columns)
        yield from zip(*columns, strict=True)


def _arrow_values(column: Any) -> list[Any]:
    return column.to_pylist(maps_as_pydicts="lossy")  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    """Convert a NumPy scalar or polars series to a Python value."""
    if isinstance(value, str | int | float | None):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.to_list() if hasattr(value, "to_list") else value
