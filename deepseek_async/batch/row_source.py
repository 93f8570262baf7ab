"""The rows of a file, whatever its format, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.delimited import delimited_rows
from deepseek_async.batch.input_file import form_of, refuse_what_cannot_be_rows
from deepseek_async.batch.json_lines import json_ids, json_rows
from deepseek_async.batch.parquet import parquet_rows
from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.batch.template import Template
from deepseek_async.batch.text_lines import text_lines, text_rows
from deepseek_async.errors import ConfigurationError
from deepseek_async.structured import AnswerForm

_TABLES: Final = frozenset({"csv", "tsv", "parquet"})
_REQUEST: Final = frozenset({"custom_id", "messages", "body", "method", "url"})
"""Keys of a line that are the request itself, not columns."""


def read_rows(path: Path, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """Yield the rows of a ``.csv``, ``.tsv``, ``.parquet``, ``.txt`` (one prompt per line) or JSONL file, lazily.

    All but Parquet may be gzip-compressed, with ``.gz`` after the suffix.
    A line that cannot be read becomes a row that carries the error; the others are not affected. With ``wanted``,
    only rows whose entry is not 0 are read, and the others cost almost nothing.
    Raises ConfigurationError, before the first row, if the file or a column of the template is missing, or if the
    file cannot contain rows.
    """
    return _rows(path, defaults, RowReader(defaults, str(path), wanted))


def read_records(path: Path, defaults: Defaults) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """Yield the rows of ``read_rows``, each with the columns that are not part of its request."""
    reader = _RecordReader(defaults, str(path))
    table = form_of(path) in _TABLES or defaults.template is not None
    for row in _rows(path, defaults, reader):
        record, reader.record = reader.record, None
        if not isinstance(record, Mapping):
            yield row, {}
        elif table:
            yield row, {name: value for name, value in record.items() if name != "custom_id"}
        else:
            yield row, {name: value for name, value in record.items() if name not in _REQUEST}


class _RecordReader(RowReader):
    """Keeps the last value read."""

    record: Any = None

    def read(self, value: Any, line: int | None = None, form: AnswerForm | None = None) -> Row:
        self.record = value
        return super().read(value, line, form)


def _rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    form = form_of(path)
    if form == "parquet":
        return parquet_rows(path, defaults, reader)
    refuse_what_cannot_be_rows(path)
    if form in {"csv", "tsv"}:
        return delimited_rows(path, defaults, reader)
    if defaults.template is not None:
        Template(defaults.template).check_names()
    if form == "jsonl":
        return json_rows(text_lines(path, defaults.max_row_bytes), reader)
    if defaults.id_column is not None:
        raise ConfigurationError(f"{path} is plain text, which has no id column {defaults.id_column!r}")
    return text_rows(text_lines(path, defaults.max_row_bytes), reader)


def read_ids(path: Path, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
    """Yield line and ``custom_id`` of every row of ``read_rows``, without parsing the requests of JSON lines."""
    match form_of(path):
        case form if form in _TABLES or defaults.id_column is not None:
            return ((row.line, row.custom_id) for row in read_rows(path, defaults))
        case "txt":
            return ((number, None) for number, _ in text_lines(path, defaults.max_row_bytes))
        case _:
            return json_ids(text_lines(path, defaults.max_row_bytes), RowReader(defaults, str(path)))
