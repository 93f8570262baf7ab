"""Rows out of a file, one at a time: JSON lines, plain text lines, CSV with a template, or Parquet."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

import msgspec
import orjson

from deepseek_async.batch.input_file import BOM, form_of, open_input, refuse_what_cannot_be_rows
from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.codec.limits import ACCEPTED_BYTES
from deepseek_async.errors import ConfigurationError
from deepseek_async.structured import Form

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_PARQUET_ROWS: Final = 256
_DEEPEST: Final = 200
"""Levels of nesting in a row; what writes JSON stops at 254."""
_REQUEST: Final = frozenset({"custom_id", "messages", "body", "method", "url"})
"""Keys of a line that are the request itself and no columns beside it."""
_TOO_DEEP: Final = f"nested more than {_DEEPEST} levels deep"


def read_rows(path: Path, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
    """The rows of a ``.csv``, ``.parquet``, ``.txt`` (a prompt a line) or JSONL file, read as they are asked for.

    All but Parquet may be packed by gzip, with ``.gz`` behind the suffix.
    A line that cannot be read becomes a row that carries the error; the others are not affected. With ``wanted``
    only the rows at whose position it holds something but 0 are read, and the others cost hardly anything.
    Raises ConfigurationError, before the first row, if the file or a column of the template is missing, or if the file
    cannot be rows.
    """
    return _rows(path, defaults, RowReader(defaults, str(path), wanted))


def read_records(path: Path, defaults: Defaults) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """The rows that ``read_rows`` gives, each with what stands in the file beside the request, by the names there."""
    reader = _RecordReader(defaults, str(path))
    table = form_of(path) in {"csv", "parquet"} or defaults.template is not None
    for row in _rows(path, defaults, reader):
        record, reader.record = reader.record, None
        if not isinstance(record, Mapping):
            yield row, {}
        elif table:
            yield row, {name: value for name, value in record.items() if name != "custom_id"}
        else:
            yield row, {name: value for name, value in record.items() if name not in _REQUEST}


class _RecordReader(RowReader):
    """Keeps what it has read last."""

    record: Any = None

    def read(self, value: Any, line: int | None = None, form: Form | None = None) -> Row:
        self.record = value
        return super().read(value, line, form)


def _rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    if defaults.template is not None:
        _check_template(defaults.template)
    if defaults.id_column is not None and form_of(path) == "txt":
        raise ConfigurationError(f"{path} is plain text, which has no column {defaults.id_column!r}")
    match form_of(path):
        case "csv":
            refuse_what_cannot_be_rows(path)
            return _csv_rows(path, defaults, reader)
        case "parquet":
            return _parquet_rows(path, defaults, reader)
        case form:
            refuse_what_cannot_be_rows(path)
            return _text_rows(_lines(path), reader) if form == "txt" else _json_rows(_lines(path), reader)


def read_ids(path: Path, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
    """Line and ``custom_id`` of every row that ``read_rows`` would give, without reading what JSON lines ask for."""
    match form_of(path):
        case form if form in {"csv", "parquet"} or defaults.id_column is not None:
            return ((row.line, row.custom_id) for row in read_rows(path, defaults))
        case "txt":
            return ((number, None) for number, _ in _lines(path))
        case _:
            return _json_ids(_lines(path), RowReader(defaults, str(path)))


class Fingerprint(msgspec.Struct, frozen=True):
    """What shows that somebody else writes a file."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file's fingerprint now. Raises ConfigurationError if it is gone."""
        try:
            status = path.stat()
        except OSError as error:
            raise ConfigurationError(f"cannot read the input {path}: {error.strerror}") from None
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def difference(self, path: Path) -> str | None:
        """What became of the file since; None if it is as it was."""
        now = type(self).of(path)
        if now == self:
            return None
        if now.size != self.size:
            verb = "grew" if now.size > self.size else "shrank"
            return f"it {verb} from {self.size:,} to {now.size:,} bytes"
        return "it was written to, or replaced"


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines with their numbers."""
    with open_input(path) as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(BOM).strip() if number == 1 else line.strip()
            if text:
                yield number, text


class _Identified(msgspec.Struct, gc=False):
    custom_id: str | int | None = None


_decode_id = msgspec.json.Decoder(_Identified).decode


def _json_ids(lines: Iterator[tuple[int, bytes]], reader: RowReader) -> Iterator[tuple[int, str | None]]:
    for number, line in lines:
        if line[:1] != b"{":
            yield number, None  # a prompt or a list of messages
            continue
        try:
            custom_id = _decode_id(line).custom_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield number, _json_row(number, line, reader).custom_id
            continue
        if custom_id is not None:
            custom_id = str(custom_id)
            if not custom_id or not custom_id.isprintable():
                custom_id = None  # a bad row, which has no name
        yield number, custom_id


def _json_rows(lines: Iterator[tuple[int, bytes]], reader: RowReader) -> Iterator[Row]:
    all_wanted = reader.wants_all
    for number, line in lines:
        if all_wanted or reader.wants_next():
            yield _json_row(number, line, reader)


def _json_row(number: int, line: bytes, reader: RowReader) -> Row:
    try:
        value = _parse(line)
    except UnicodeDecodeError as error:
        return reader.unreadable(number, _not_utf8(error), line)
    except json.JSONDecodeError as error:
        return reader.unreadable(number, f"not JSON: {error.msg} at character {error.pos + 1}", line)
    except ValueError as error:
        return reader.unreadable(number, f"not JSON: {error}", line)
    except RecursionError:
        return reader.unreadable(number, f"not JSON: {_TOO_DEEP}", line)
    return reader.read(value, number)


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8: {error.reason} at byte {error.start + 1}"


def _parse(line: bytes) -> Any:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        # json also takes a lone surrogate; the request is then refused with a message that says where.
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
    # Every level takes two bytes.
    if len(line) > 2 * _DEEPEST and _brackets(line) > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    return value


def _brackets(line: bytes) -> int:
    # To take the few out and see what is left takes a third of the time that count takes.
    return 2 * len(line) - len(line.replace(b"[", b"")) - len(line.replace(b"{", b""))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _text_rows(lines: Iterator[tuple[int, bytes]], reader: RowReader) -> Iterator[Row]:
    for number, line in lines:
        if not reader.wants_next():
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield reader.unreadable(number, _not_utf8(error), line)
        else:
            yield reader.read(text, number)


def _csv_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    _lift_field_limit()
    columns = _header(path)
    if defaults.template is None:
        raise ConfigurationError(
            f"a CSV input needs a template, for example 'Summarise: {{text}}'; {path} has: {_named(columns)}",
        )
    _check_columns(path, defaults, columns)
    return _csv_requests(path, reader)


def _lift_field_limit() -> None:
    """The limit is the process's and 128 KiB by default; a document may be longer."""
    csv.field_size_limit(max(csv.field_size_limit(), ACCEPTED_BYTES))


def _check_columns(path: Path, defaults: Defaults, columns: list[str]) -> None:
    wanted = [] if defaults.template is None else _columns_of(defaults.template)
    for name in wanted:
        if name not in columns:
            raise ConfigurationError(f"the template names the column {name!r}; {path} has: {_named(columns)}")
    if defaults.id_column is not None and defaults.id_column not in columns:
        raise ConfigurationError(
            f"the ids are to be in the column {defaults.id_column!r}; {path} has: {_named(columns)}",
        )
    for name in [*wanted, defaults.id_column or "custom_id"]:
        if columns.count(name) > 1:
            raise ConfigurationError(f"{path} has more than one column {name!r}")


def _named(columns: list[str]) -> str:
    return ", ".join(columns) or "no columns"


def _header(path: Path) -> list[str]:
    with _open_text(path) as file:
        try:
            return next(_csv_reader(file), [])
        except csv.Error as error:
            raise ConfigurationError(f"the first line of {path} is not CSV: {error}") from None


def _csv_requests(path: Path, reader: RowReader) -> Iterator[Row]:
    columns = _header(path)
    for line, values in _records(path):
        if not reader.wants_next():
            continue
        if isinstance(values, csv.Error):
            yield reader.unreadable(line, f"not CSV: {values}", b"")
        else:
            yield _csv_row(columns, values, line, reader)


def _records(path: Path) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The records behind the header with the lines on which they begin, or what is wrong with them."""
    with _open_text(path) as file:
        records = _csv_reader(file)
        with suppress(csv.Error):
            next(records, [])
        while True:
            line = records.line_num + 1
            try:
                values = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, error
                continue
            if values:
                yield line, values


def _open_text(path: Path) -> TextIO:
    # Bytes that are not UTF-8 come as lone surrogates, so that their row is refused and not the file.
    return TextIOWrapper(open_input(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_reader(file: TextIO) -> _Reader:
    # Not strict, a quote that is never closed would make the rest of the file one row without a word.
    return csv.reader(file, strict=True)


def _csv_row(columns: list[str], values: list[str], line: int, reader: RowReader) -> Row:
    if len(values) != len(columns):
        reason = f"{len(values)} fields where the header has {len(columns)}"
        return reader.unreadable(line, reason, repr(values).encode("utf-8", "replace"))
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return reader.unreadable(line, "not UTF-8", repr(values).encode("utf-8", "replace"))
    return reader.read(dict(zip(columns, values, strict=True)), line)


def _parquet_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    file = _parquet_file(path)
    try:
        _check_table(path, defaults, file.schema_arrow.names)
    except ConfigurationError:
        file.close()
        raise
    return _parquet_records(file, reader)


def _check_table(path: Path, defaults: Defaults, columns: list[str]) -> None:
    _check_columns(path, defaults, columns)
    if defaults.template is None and not {"prompt", "messages", "body"} & set(columns):
        raise ConfigurationError(
            f"{path} has neither a column prompt nor messages, so it needs a template, for example "
            f"'Summarise: {{text}}'; it has: {_named(columns)}",
        )


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow import ArrowException  # noqa: PLC0415  optional, and slow to load
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            f"to read {path} takes pyarrow: pip install 'deepseek-async[parquet]', or convert the file to JSON lines",
        ) from None
    open_input(path).close()
    try:
        return ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise ConfigurationError(f"{path} is no Parquet file: {error}") from None


def _parquet_records(file: Any, reader: RowReader) -> Iterator[Row]:
    number = 0
    with file:
        for block in file.iter_batches(batch_size=_PARQUET_ROWS):
            for record in block.to_pylist():
                number += 1
                if reader.wants_next():
                    yield reader.read(record, number)


def _columns_of(template: str) -> list[str]:
    names = (name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    return [name.split(".")[0].split("[")[0] for name in names]


def _check_template(template: str) -> None:
    try:
        columns = _columns_of(template)
    except ValueError as error:
        raise ConfigurationError(f"the template cannot be read: {error}. Write a literal brace twice") from None
    if not all(columns) or any(name.isdigit() for name in columns):
        raise ConfigurationError("the template has a place without a name, {} or {0}; name a column in it")
    if not columns:
        raise ConfigurationError(f"the template {template!r} names no column, so all rows would ask the same: {{text}}")
