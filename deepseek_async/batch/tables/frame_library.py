"""Adding columns to a frame in its own library: pandas, polars, pyarrow or Hugging Face datasets.

The frame's owner has imported its library, so none is installed or loaded for it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from deepseek_async.batch.tables.column_type import ColumnType, Fields, ListType, Scalar
from deepseek_async.errors import ConfigurationError

Columns: TypeAlias = Mapping[str, tuple[ColumnType, Sequence[Any]]]
"""Type and values of each column, by name."""


def library_of(frame: Any) -> str:
    """Return the library of a frame. Raises ConfigurationError for anything else, also a lazy or a streamed one."""
    for kind in type(frame).__mro__:
        library = kind.__module__.partition(".")[0]
        if (library, kind.__name__) in _FRAMES:
            return library
    hint = _HINTS.get(type(frame).__name__, "use client.batch.map for other iterables")
    raise ConfigurationError(
        f"frame must be a pandas or polars DataFrame, a pyarrow Table or a datasets.Dataset, got "
        f"{type(frame).__name__}: {hint}"
    )


def held(frame: Any) -> Any:
    """Return a view of the frame whose rows stay the same if its owner adds some meanwhile; values are not copied."""
    return frame.copy(deep=False) if library_of(frame) == "pandas" else frame


def names_of(frame: Any) -> list[str]:
    """Return the column names of a frame, those of the first level if there are several."""
    library = library_of(frame)
    if library == "pyarrow":
        return list(frame.schema.names)
    if library == "pandas" and frame.columns.nlevels > 1:
        return [str(name) for name in frame.columns.get_level_values(0)]  # by which a column is reached
    return [str(name) for name in (frame.column_names if library == "datasets" else frame.columns)]


def without_rows(frame: Any) -> Any:
    """Return the frame with its columns and no row."""
    match library_of(frame):
        case "pandas":
            return frame.iloc[:0]
        case "datasets":
            return frame.select([])
        case _:
            return frame[:0]


def with_columns(frame: Any, columns: Columns) -> Any:
    """Return the frame with the columns added at its end; index, order and the other columns are unchanged."""
    library = library_of(frame)
    return _ADDING[library](import_module(library), frame, columns)


def frame_of(library: str, columns: Columns) -> Any:
    """Return a new frame of these columns. Raises ConfigurationError if the library is not installed."""
    try:
        module = import_module(library)
    except ImportError:
        raise ConfigurationError(f"{library} is not installed: pip install {_PACKAGES.get(library, library)}") from None
    return _MADE[library](module, columns)


def _to_pandas(pd: Any, frame: Any, columns: Columns) -> Any:
    added = frame.copy(deep=False)
    for name, (kind, values) in columns.items():
        levels = frame.columns.nlevels
        added[(name, *[""] * (levels - 1)) if levels > 1 else name] = _pandas_values(pd, kind, values)
    return added


def _pandas_frame(pd: Any, columns: Columns) -> Any:
    return pd.DataFrame({name: _pandas_values(pd, kind, values) for name, (kind, values) in columns.items()})


def _pandas_values(pd: Any, kind: ColumnType, values: Sequence[Any]) -> Any:
    match kind:
        case Scalar.TEXT:
            return pd.array(values, dtype=pd.Series([""]).dtype)  # str since pandas 3, object before
        case Scalar.INTEGER:
            return pd.array(values, dtype="Int64")
        case Scalar.BOOLEAN:
            return pd.array(values, dtype="boolean")
        case Scalar.NUMBER:
            return pd.array(values, dtype="float64")
        case _:
            return pd.Series(values, dtype=object).array


def _to_polars(pl: Any, frame: Any, columns: Columns) -> Any:
    return frame.hstack(_polars_series(pl, columns))


def _polars_frame(pl: Any, columns: Columns) -> Any:
    return pl.DataFrame(_polars_series(pl, columns))


def _polars_series(pl: Any, columns: Columns) -> list[Any]:
    return [pl.Series(name, values, dtype=_polars_type(pl, kind)) for name, (kind, values) in columns.items()]


def _polars_type(pl: Any, kind: ColumnType) -> Any:
    match kind:
        case ListType(item):
            return pl.List(_polars_type(pl, item))
        case Fields(types):
            return pl.Struct({name: _polars_type(pl, nested) for name, nested in types.items()})
        case Scalar.TEXT:
            return pl.String
        case Scalar.INTEGER:
            return pl.Int64
        case Scalar.NUMBER:
            return pl.Float64
        case Scalar.BOOLEAN:
            return pl.Boolean


def _to_arrow(pa: Any, table: Any, columns: Columns) -> Any:
    for name, (kind, values) in columns.items():
        table = table.append_column(name, pa.array(values, arrow_type(pa, kind)))
    return table


def _arrow_table(pa: Any, columns: Columns) -> Any:
    return pa.table({name: pa.array(values, arrow_type(pa, kind)) for name, (kind, values) in columns.items()})


def arrow_type(pa: Any, kind: ColumnType) -> Any:
    """Return the type as one of ``pa``, the module pyarrow."""
    match kind:
        case ListType(item):
            return pa.list_(arrow_type(pa, item))
        case Fields(types):
            return pa.struct([(name, arrow_type(pa, nested)) for name, nested in types.items()])
        case Scalar.TEXT:
            return pa.string()
        case Scalar.INTEGER:
            return pa.int64()
        case Scalar.NUMBER:
            return pa.float64()
        case Scalar.BOOLEAN:
            return pa.bool_()


def _to_dataset(datasets: Any, dataset: Any, columns: Columns) -> Any:
    added = datasets.Dataset(_arrow_table(import_module("pyarrow"), columns))
    if len(dataset):
        joined = datasets.concatenate_datasets([dataset, added], axis=1)
    else:  # which concatenation leaves out
        features = datasets.Features({**dataset.features, **added.features})
        joined = datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    form = dataset.format
    shown = None if form["columns"] == dataset.column_names else [*form["columns"], *columns]
    return joined.with_format(form["type"], shown, form["output_all_columns"], **form["format_kwargs"])


_FRAMES: Final = frozenset(
    {
        ("pandas", "DataFrame"),
        ("polars", "DataFrame"),
        ("pyarrow", "Table"),
        ("pyarrow", "RecordBatch"),
        ("datasets", "Dataset"),
    }
)
_HINTS: Final = {
    "LazyFrame": "call .collect() first",
    "DatasetDict": "choose a split, for example frame['train']",
    "IterableDataset": "a streamed data set has no rows to add columns to; use client.batch.map",
    "IterableDatasetDict": "a streamed data set has no rows to add columns to; use client.batch.map",
    "Series": "call .to_frame() first",
}
_PACKAGES: Final = {"pyarrow": "'deepseek-async[parquet]'"}
_ADDING: Final[Mapping[str, Callable[[Any, Any, Columns], Any]]] = {
    "pandas": _to_pandas,
    "polars": _to_polars,
    "pyarrow": _to_arrow,
    "datasets": _to_dataset,
}
_MADE: Final[Mapping[str, Callable[[Any, Columns], Any]]] = {
    "pandas": _pandas_frame,
    "polars": _polars_frame,
    "pyarrow": _arrow_table,
}
