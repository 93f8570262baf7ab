"""Reader for Parquet files, a few hundred rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.data_frames import arrow_records
from deepseek_async.batch.delimited import told_apart
from deepseek_async.batch.input_file import open_input
from deepseek_async.batch.row import Defaults, Row, RowReader, check_columns
from deepseek_async.errors import ConfigurationError

_MOST_ROWS: Final = 256
"""Rows read at once, if they fit the size limit together."""


def parquet_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    """Yield the rows of the file, a block at a time. Raises ConfigurationError for a missing column or no Parquet."""
    file = _parquet_file(path)
    written = file.schema_arrow.names
    names = told_apart(written)
    try:
        check_columns(defaults, names, f"{path} has: {', '.join(written) or 'no columns'}", written)
    except ConfigurationError:
        file.close()
        raise
    reader.reads_table(names, typed=True)
    return _parquet_records(file, names, reader, defaults.max_row_bytes)


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415  optional, and slow to load
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            f"cannot read {path} without pyarrow: pip install 'deepseek-async[parquet]', or convert the file to JSON "
            "lines",
        ) from None
    open_input(path).close()
    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise ConfigurationError(f"{path} is not a Parquet file: {error}") from None


def _parquet_records(file: Any, names: list[str], reader: RowReader, longest: int) -> Iterator[Row]:
    number = 0
    with file:
        for group in range(file.num_row_groups):
            for block in file.iter_batches(batch_size=_rows_at_once(file, group, longest), row_groups=[group]):
                named = block.rename_columns(names)
                # For a slice, nbytes counts the buffers it refers to.
                whole = named.nbytes <= longest
                for rows in [named] if whole else map(named.slice, range(named.num_rows), repeat(1)):
                    if not whole and rows.nbytes > longest:
                        number += 1
                        if reader.wants_next():
                            yield reader.too_long(number, rows.nbytes)
                        continue
                    for record in arrow_records(rows):
                        number += 1
                        if reader.wants_next():
                            yield reader.read(record, number)


def _rows_at_once(file: Any, group: int, longest: int) -> int:
    """Return how many rows of a group fit the size limit together, assuming equal sizes."""
    about = file.metadata.row_group(group)
    each: int = max(1, about.total_byte_size // max(1, about.num_rows))
    return max(1, min(_MOST_ROWS, longest // each))
