"""Row readers for JSON lines, plain text, CSV and Parquet files, one row at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader, RawIOBase
from itertools import repeat
from math import nan
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import msgspec
import orjson

from deepseek_async.batch.delimited import Header, delimited_rows, headers, told_apart
from deepseek_async.batch.input_file import BOM, BUFFER, form_of, open_input, refuse_what_cannot_be_rows
from deepseek_async.batch.row import Defaults, Row, RowReader, check_columns, is_id
from deepseek_async.batch.template import Template
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.bounded_lines import LongLine, lines_of
from deepseek_async.structured import AnswerForm

_PARQUET_ROWS: Final = 256
_TABLES: Final = frozenset({"csv", "tsv", "parquet"})
_DEEPEST: Final = 200
"""Maximum nesting of a row; JSON encoders stop at 254."""
_REQUEST: Final = frozenset({"custom_id", "messages", "body", "method", "url"})
"""Keys of a line that are the request itself, not columns."""
_LOOKED_AT: Final = 1 << 16
_EXACT: Final = 1 << 63
_TOO_DEEP: Final = f"nested more than {_DEEPEST} levels deep"


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
        return _parquet_rows(path, defaults, reader)
    refuse_what_cannot_be_rows(path)
    if form in {"csv", "tsv"}:
        return _delimited_rows(path, defaults, reader)
    if defaults.template is not None:
        Template(defaults.template).check_names()
    if form == "jsonl":
        return _json_rows(_lines(path, defaults), reader)
    if defaults.id_column is not None:
        raise ConfigurationError(f"{path} is plain text, which has no id column {defaults.id_column!r}")
    return _text_rows(_lines(path, defaults), reader)


def read_ids(path: Path, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
    """Yield line and ``custom_id`` of every row of ``read_rows``, without parsing the requests of JSON lines."""
    match form_of(path):
        case form if form in _TABLES or defaults.id_column is not None:
            return ((row.line, row.custom_id) for row in read_rows(path, defaults))
        case "txt":
            return ((number, None) for number, _ in _lines(path, defaults))
        case _:
            return _json_ids(_lines(path, defaults), RowReader(defaults, str(path)))


class Fingerprint(msgspec.Struct, frozen=True):
    """File metadata that reveals concurrent writes."""

    device: int
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the file's current fingerprint. Raises ConfigurationError if it does not exist."""
        try:
            status = path.stat()
        except OSError as error:
            raise ConfigurationError(f"cannot read the input {path}: {error.strerror}") from None
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def difference(self, path: Path) -> str | None:
        """Describe how the file has changed since, or return None."""
        now = type(self).of(path)
        if now == self:
            return None
        if now.size != self.size:
            verb = "grew" if now.size > self.size else "shrank"
            return f"it {verb} from {self.size:,} to {now.size:,} bytes"
        return "it was written to, or replaced"


_Line = bytes | LongLine


def _lines(path: Path, defaults: Defaults) -> Iterator[tuple[int, _Line]]:
    """Yield non-blank lines with their numbers."""
    with open_input(path) as file:
        start = file.peek(_LOOKED_AT)
        old_mac = b"\r" in start and b"\n" not in start
        lines = BufferedReader(_OldMac(file), BUFFER) if old_mac else file
        for number, line in enumerate(lines_of(lines, defaults.max_row_bytes), 1):
            if isinstance(line, LongLine):
                yield number, line
                continue
            text = line.removeprefix(BOM).strip() if number == 1 else line.strip()
            if text:
                yield number, text


class _OldMac(RawIOBase):
    """A file with classic Mac line endings (CR), read with line feeds."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read(memoryview(buffer).nbytes).replace(b"\r", b"\n")
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)


class _Identified(msgspec.Struct, gc=False):
    custom_id: str | int | None = None


_decode_id = msgspec.json.Decoder(_Identified).decode


def _json_ids(lines: Iterator[tuple[int, _Line]], reader: RowReader) -> Iterator[tuple[int, str | None]]:
    for number, line in lines:
        if isinstance(line, LongLine) or line[:1] != b"{":
            yield number, None  # an invalid row, a prompt or a list of messages
            continue
        try:
            custom_id = _decode_id(line).custom_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield number, _json_row(number, line, reader).custom_id
            continue
        if custom_id is not None:
            custom_id = str(custom_id)
            if not is_id(custom_id):
                custom_id = None  # an invalid row has no id
        yield number, custom_id


def _json_rows(lines: Iterator[tuple[int, _Line]], reader: RowReader) -> Iterator[Row]:
    all_wanted = reader.wants_all
    for number, line in lines:
        if all_wanted or reader.wants_next():
            yield _json_row(number, line, reader)


def _json_row(number: int, line: _Line, reader: RowReader) -> Row:
    if isinstance(line, LongLine):
        return reader.too_long(number, line.size, line.digest)
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
    if type(value) is dict and (
        type(value.get(reader.id_column)) is float
        or (reader.shown and any(type(value.get(name)) is float for name in reader.shown))
    ):
        value = json.loads(line)  # orjson turns an integer beyond 64 bits into a float
    row = reader.read(value, number)
    if row.columns is not None and any(type(item) is float and abs(item) >= _EXACT for item in row.columns.values()):
        exact = json.loads(line)
        return msgspec.structs.replace(row, columns={name: exact[name] for name in row.columns})
    return row


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8: {error.reason} at byte {error.start + 1}"


def _parse(line: bytes) -> Any:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        # json also accepts lone surrogates and NaN; a request with one is rejected later with its location.
        value = json.loads(line.decode(), parse_constant=_constant)
    # Each level takes two bytes.
    if len(line) > 2 * _DEEPEST and _brackets(line) > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    return value


def _brackets(line: bytes) -> int:
    # Removing the few brackets and comparing lengths takes a third of the time of count.
    return 2 * len(line) - len(line.replace(b"[", b"")) - len(line.replace(b"{", b""))


def _constant(name: str) -> float:
    """Accept NaN, which programs write for a missing number; a request may contain neither NaN nor infinity."""
    if name == "NaN":
        return nan
    raise ValueError(f"{name} is not a JSON value")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
    return depth


def _text_rows(lines: Iterator[tuple[int, _Line]], reader: RowReader) -> Iterator[Row]:
    for number, line in lines:
        if not reader.wants_next():
            continue
        if isinstance(line, LongLine):
            yield reader.too_long(number, line.size, line.digest)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield reader.unreadable(number, _not_utf8(error), line)
        else:
            yield reader.read(text, number)


def _delimited_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    header = _header_with_what_is_asked(path, defaults)
    reader.reads_table(header.columns, typed=False)
    return delimited_rows(path, header, reader, defaults.max_row_bytes)


def _header_with_what_is_asked(path: Path, defaults: Defaults) -> Header:
    """Return the header parsed with the separator that yields the required columns. Raises ConfigurationError."""
    problems = []
    for header in headers(path, defaults.max_row_bytes):
        try:
            check_columns(defaults, header.columns, str(header), header.written)
        except ConfigurationError as error:
            problems.append(error)
        else:
            return header
    raise problems[0]


def _parquet_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
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
                    for record in rows.to_pylist(maps_as_pydicts="lossy"):
                        number += 1
                        if reader.wants_next():
                            yield reader.read(record, number)


def _rows_at_once(file: Any, group: int, longest: int) -> int:
    """Return how many rows of a group fit the size limit together, assuming equal sizes."""
    about = file.metadata.row_group(group)
    each: int = max(1, about.total_byte_size // max(1, about.num_rows))
    return max(1, min(_PARQUET_ROWS, longest // each))
