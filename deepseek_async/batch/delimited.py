"""Rows out of a file with a header and a separator: comma, semicolon, tab or bar."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deepseek_async.batch.input_file import form_of, open_input
from deepseek_async.batch.row import Row, RowReader
from deepseek_async.codec.limits import ACCEPTED_BYTES
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_SEPARATORS: Final = {"csv": (",", ";", "\t", "|"), "tsv": ("\t", ",", ";", "|")}
"""By the form of the file, those that it may have, the likeliest first."""
_NAMED: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


class Header:
    """The first line of a file: its separator, and what its columns are called."""

    def __init__(self, path: Path, separator: str, written: Sequence[str]) -> None:
        self.separator = separator
        self.written = list(written)
        """The names as they stand there."""
        self.columns = told_apart(self.written)
        """The names by which values are known: one that stands there twice gets a number, and so does none at all."""
        self._path = path

    def __str__(self) -> str:
        if len(self.written) == 1:
            return f"{self._path} has one column: {self.written[0]}"
        return f"{self._path}, read with {_NAMED[self.separator]} between columns, has: {', '.join(self.written)}"


def headers(path: Path) -> list[Header]:
    """What the first line says with each separator that it may have; the likeliest first, and of most columns.

    Raises ConfigurationError if it is no such line.
    """
    _lift_field_limit()
    possible = []
    for separator in _SEPARATORS[form_of(path)]:
        with _open_text(path) as file:
            try:
                written = next(_csv_reader(file, separator), [])
            except csv.Error as error:
                problem = error
                continue
        possible.append(Header(path, separator, written))
    if not possible:
        raise ConfigurationError(f"the first line of {path} is not CSV: {problem}")
    try:
        "".join(possible[0].written).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"the names of the columns of {path} are not UTF-8: convert it, for example with "
            "iconv -f WINDOWS-1252 -t UTF-8",
        ) from None
    return sorted(possible, key=lambda header: len(header.written), reverse=True)


def delimited_rows(path: Path, header: Header, reader: RowReader) -> Iterator[Row]:
    """The rows behind the header. One that is no such row carries the error."""
    for line, values in _records(path, header.separator):
        if not reader.wants_next():
            continue
        if isinstance(values, csv.Error):
            yield reader.unreadable(line, f"not CSV: {values}", b"")
        else:
            yield _row(header.columns, values, line, reader)


def told_apart(written: Sequence[str]) -> list[str]:
    """The names of columns, each once: one that has none is called by its place, and so is one that comes again."""
    taken, names = set(written), list[str]()
    for number, name in enumerate(written, 1):
        shown = name
        if not name.strip() or name in names:
            shown, repeated = f"{name.strip() or 'column'}_{number}", number
            while shown in taken:
                repeated += 1
                shown = f"{name.strip() or 'column'}_{repeated}"
        taken.add(shown)
        names.append(shown)
    return names


def _lift_field_limit() -> None:
    """The limit is the process's and 128 KiB by default; a document may be longer."""
    csv.field_size_limit(max(csv.field_size_limit(), ACCEPTED_BYTES))


def _records(path: Path, separator: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The records behind the header with the lines on which they begin, or what is wrong with them."""
    with _open_text(path) as file:
        records = _csv_reader(file, separator)
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


def _csv_reader(file: TextIO, separator: str) -> _Reader:
    # Not strict, a quote that is never closed would make the rest of the file one row without a word.
    return csv.reader(file, strict=True, delimiter=separator)


def _row(columns: list[str], values: list[str], line: int, reader: RowReader) -> Row:
    if len(values) != len(columns):
        reason = f"{len(values)} fields where the header has {len(columns)}"
        return reader.unreadable(line, reason, repr(values).encode("utf-8", "replace"))
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return reader.unreadable(line, "not UTF-8", repr(values).encode("utf-8", "replace"))
    return reader.read(dict(zip(columns, values, strict=True)), line)
