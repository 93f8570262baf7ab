"""Rows out of a file, one at a time: JSON lines, plain text lines, or CSV with a template."""

from __future__ import annotations

import csv
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.errors import ConfigurationError

_BOM: Final = b"\xef\xbb\xbf"
_COUNT_BLOCK: Final = 1 << 20


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
    lines = _lines(_open(path))
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


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines with their numbers."""
    with file:
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
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # json also takes a lone surrogate; the request is then refused with a message that says where.
        return json.loads(line)


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
    _open(path).close()
    file = path.open(encoding="utf-8-sig", errors="replace", newline="")
    records = csv.DictReader(file, restkey="")
    columns = records.fieldnames or []
    missing = [name for name in _columns_of(defaults.template) if name not in columns]
    if missing:
        file.close()
        raise ConfigurationError(
            f"the template names the column {missing[0]!r}; {path} has: {', '.join(columns) or 'no columns'}",
        )

    def rows() -> Iterator[Row]:
        reader = RowReader(defaults, str(path))
        with file:
            while True:
                try:
                    record = next(records)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield reader.unreadable(records.line_num, f"not CSV: {error}", b"")
                    continue
                yield _csv_row(record, records.line_num, reader)

    return rows()


def _csv_row(record: dict[str, Any], line: int, reader: RowReader) -> Row:
    text = repr(record).encode("utf-8", "replace")
    if record.get("") is not None or None in record.values():
        return reader.unreadable(line, "the number of fields differs from the header's", text)
    if any("�" in value for value in record.values()):
        return reader.unreadable(line, "not UTF-8", text)
    return reader.read(record, line)


def _columns_of(template: str) -> list[str]:
    names = (name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    return [name.split(".")[0].split("[")[0] for name in names]


def _check_template(template: str) -> None:
    try:
        columns = _columns_of(template)
    except ValueError as error:
        raise ConfigurationError(f"the template cannot be read: {error}. Write a literal brace twice") from None
    if not all(columns):
        raise ConfigurationError("the template has an empty place {}; name a column in it")
