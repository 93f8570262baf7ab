"""Data frames, Arrow tables and Hugging Face datasets as rows; iterating over a data frame itself yields names."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Container, Iterable, Iterator, Sequence
from typing import Any, Final, Self

from deepseek_async.batch.cells import UnreadableCell
from deepseek_async.batch.delimited import told_apart
from deepseek_async.batch.input_record import PARAMETERS
from deepseek_async.errors import ConfigurationError

_ROWS: Final = 256
_Reading = Callable[[Sequence[int]], Iterator[Iterable[Any]]]
"""Reads the rows of the columns at these positions."""


class Table(Iterable[dict[str, Any]]):
    """Rows of a pandas or polars data frame, a pyarrow table or a Hugging Face dataset, created lazily."""

    def __init__(self, written: Iterable[Any], reading: _Reading, only: Container[str] | None = None) -> None:
        self.written = [str(name) for name in written]
        """Column names as they are in the frame."""
        self._reading = reading
        named = told_apart(self.written)
        self._chosen = [place for place, name in enumerate(named) if only is None or name in only]
        self.columns = [named[place] for place in self._chosen]
        """Unique names of the columns that are read: a repeated or empty name gets a number."""

    def only(self, names: Container[str]) -> Self:
        """Return the table restricted to these columns; the others are not read."""
        return type(self)(self.written, self._reading, names)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = self._reading(self._chosen)
        return (dict(zip(self.columns, map(_plain, values), strict=True)) for values in rows)


def as_table(requests: Iterable[Any] | AsyncIterable[Any]) -> Table | None:
    """Return ``requests`` as a table, or None if it is not one. Raises ConfigurationError for an unsupported frame.

    Detected by methods, so that none of these libraries is imported here.
    """
    frame: Any = requests
    if hasattr(frame, "itertuples") and hasattr(frame, "columns"):
        return _pandas_table(frame)
    if hasattr(frame, "iter_rows") and hasattr(frame, "columns"):
        return Table(frame.columns, lambda chosen: zip(*map(_polars_values, map(frame.to_series, chosen)), strict=True))
    if hasattr(frame, "schema") and hasattr(frame, "to_pylist"):
        return Table(frame.schema.names, lambda chosen: _arrow_rows(frame.select(list(chosen))))
    if hasattr(frame, "select_columns") and hasattr(frame, "with_format") and hasattr(frame, "__len__"):
        return Table(frame.column_names, lambda chosen: _dataset_rows(frame, chosen))
    if hasattr(frame, "collect_schema") or hasattr(frame, "__dataframe__"):
        raise ConfigurationError(
            f"requests must have rows, got {type(frame).__name__}: pass a pandas or polars data frame (.collect(), "
            ".to_pandas()), a pyarrow table, or a list of dicts",
        )
    return None


def _pandas_table(frame: Any) -> Table:
    """Named levels of the index are columns too, unless a column or a parameter of the API has that name."""
    columns = [".".join(map(str, filter(None, name))) if isinstance(name, tuple) else name for name in frame.columns]
    names = getattr(getattr(frame, "index", None), "names", ())
    taken = PARAMETERS.union(map(str, columns))
    levels = [(place, name) for place, name in enumerate(names) if isinstance(name, str) and name not in taken]

    def rows(chosen: Sequence[int]) -> Iterator[Iterable[Any]]:
        read = [
            frame.iloc[:, place]
            if place < len(columns)
            else frame.index.get_level_values(levels[place - len(columns)][0])
            for place in chosen
        ]
        return zip(*map(_pandas_values, read), strict=True)

    return Table([*columns, *(name for _, name in levels)], rows)


def _dataset_rows(dataset: Any, chosen: Sequence[int]) -> Iterator[Iterable[Any]]:
    # Arrow blocks honour a selection of rows, and decode no image and no sound.
    named = dataset.select_columns([dataset.column_names[place] for place in chosen]).with_format("arrow")
    for block in named.iter(batch_size=_ROWS):
        yield from _arrow_rows(block)


def _arrow_rows(table: Any) -> Iterator[Iterable[Any]]:
    for start in range(0, table.num_rows, _ROWS):
        columns = (_arrow_values(column) for column in table.slice(start, _ROWS).columns)
        yield from zip(*columns, strict=True)


def arrow_records(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of a pyarrow table or record batch."""
    try:
        return batch.to_pylist(maps_as_pydicts="lossy")  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001  pyarrow's, for one of the cells
        names = batch.schema.names
        return [dict(zip(names, values, strict=True)) for values in _arrow_rows(batch)]


def _arrow_values(column: Any) -> list[Any]:
    return _values(
        column,
        lambda cells: cells.to_pylist(maps_as_pydicts="lossy"),
        lambda cells, place: cells[place].as_py(maps_as_pydicts="lossy"),
    )


def _polars_values(series: Any) -> Iterator[Any]:
    for start in range(0, len(series), _ROWS):
        yield from _values(series.slice(start, _ROWS), lambda cells: cells.to_list(), lambda cells, place: cells[place])


def _pandas_values(column: Any) -> Iterator[Any]:
    """Yield the values of a series or an index; of what only looks like one, such as a lazy series, what it yields."""
    if not (hasattr(column, "iloc") or hasattr(column, "get_level_values")):
        yield from column
        return
    for start in range(0, len(column), _ROWS):
        block = getattr(column, "iloc", column)[start : start + _ROWS]
        yield from _values(block, list, lambda cells, place: getattr(cells, "iloc", cells)[place])


def _values(cells: Any, read: Callable[[Any], list[Any]], read_one: Callable[[Any, int], Any]) -> list[Any]:
    """Return the values of some cells; those that their library cannot return do not take the others with them."""
    try:
        return read(cells)
    except BaseException as error:
        if not _is_of_a_value(error):
            raise
    return [_value(cells, place, read_one) for place in range(len(cells))]


def _value(cells: Any, place: int, read_one: Callable[[Any, int], Any]) -> Any:
    try:
        return read_one(cells, place)
    except BaseException as error:
        if not _is_of_a_value(error):
            raise
        return UnreadableCell(error)


def _is_of_a_value(error: BaseException) -> bool:
    """Whether a library failed to convert a value; polars, in Rust, panics then."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _plain(value: Any) -> Any:
    """Convert a NumPy scalar or polars series to a Python value."""
    if isinstance(value, str | int | float | None):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.to_list() if hasattr(value, "to_list") else value
