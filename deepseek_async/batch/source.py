"""Rows out of a file, one at a time: JSON lines, plain text lines, or CSV with a template."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO

import orjson

from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.codec.request import MAX_REQUEST_BYTES
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_BOM: Final = b"\xef\xbb\xbf"
_COUNT_BLOCK: Final = 1 << 20
_DEEPEST: Final = 200
"""Levels of nesting in a row; what writes JSON stops at 254."""


def read_rows(path: Path, defaults: Defaults) -> Iterator[Row]:
    """The rows of a ``.csv``, ``.txt`` (a prompt a line) or JSONL file, read as they are asked for.

    A line that cannot be read becomes a row that carries the error; the others are not affected.
    Raises ConfigurationError, before the first row, if the file or a column of the template is missing.
    """
    if defaults.template is not None:
        _check_template(defaults.template)
    if path.suffix.lower() == ".csv":
        return _csv_rows(path, defaults)
    reader = RowReader(defaults, str(path))
    _open(path).close()
    lines = _lines(path)
    return _text_rows(lines, reader) if path.suffix.lower() == ".txt" else _json_rows(lines, reader)


def count_lines(path: Path) -> int:
    """Lines of the file: the number of rows, unless some are blank or hold line breaks in quotes."""
    lines, last = 0, b"\n"
    with _open(path) as file:
        while block := file.read(_COUNT_BLOCK):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n") - (path.suffix.lower() == ".csv")


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"cannot read the input {path}: {error.strerror}") from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines with their numbers."""
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
            if text:
                yield number, text


def _json_rows(lines: Iterator[tuple[int, bytes]], reader: RowReader) -> Iterator[Row]:
    for number, line in lines:
        try:
            value = _parse(line)
        except (ValueError, RecursionError) as error:
            yield reader.unreadable(number, f"not JSON: {error}", line)
        else:
            yield reader.read(value, number)


def _parse(line: bytes) -> Any:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        # json also takes a lone surrogate; the request is then refused with a message that says where.
        value = json.loads(line, parse_constant=_refuse_constant)
    if line.count(b"[") + line.count(b"{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} levels deep")
    return value


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
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield reader.unreadable(number, f"not UTF-8: {error.reason} at byte {error.start}", line)
        else:
            yield reader.read(text, number)


def _csv_rows(path: Path, defaults: Defaults) -> Iterator[Row]:
    if defaults.template is None:
        raise ConfigurationError(f"a CSV input needs a template, for example 'Summarise: {{text}}' ({path})")
    # The limit is the process's and 128 KiB by default; a document may be longer.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_REQUEST_BYTES))
    columns = _header(path)
    missing = [name for name in _columns_of(defaults.template) if name not in columns]
    if missing:
        raise ConfigurationError(
            f"the template names the column {missing[0]!r}; {path} has: {', '.join(columns) or 'no columns'}",
        )
    return _records(path, RowReader(defaults, str(path)))


def _header(path: Path) -> list[str]:
    with _open_text(path) as file:
        try:
            return next(_csv_reader(file), [])
        except csv.Error as error:
            raise ConfigurationError(f"the first line of {path} is not CSV: {error}") from None


def _records(path: Path, reader: RowReader) -> Iterator[Row]:
    with _open_text(path) as file:
        records = _csv_reader(file)
        columns = next(records, [])
        while True:
            line = records.line_num + 1
            try:
                values = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.unreadable(line, f"not CSV: {error}", b"")
                continue
            if values:
                yield _csv_row(columns, values, line, reader)


def _open_text(path: Path) -> TextIO:
    # Bytes that are not UTF-8 come as lone surrogates, so that their row is refused and not the file.
    return TextIOWrapper(_open(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


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
