"""Reader for delimited files with a header row: comma, semicolon, tab or vertical bar."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deepseek_async.batch.input_file import form_of, open_input
from deepseek_async.batch.row import Defaults, Row, RowReader, check_columns
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_SEPARATORS: Final = {"csv": (",", ";", "\t", "|"), "tsv": ("\t", ",", ";", "|")}
"""Candidate separators for each format, likeliest first."""
_PIECE: Final = 1 << 16
_LONGEST_FIELD: Final = (1 << 31) - 1
"""The csv module stores the limit in a C long, which has 32 bits on some platforms."""
_HINT: Final = re.compile(r"sep=.?", re.IGNORECASE)
"""First cell of a file that declares its separator to Excel."""
_NAMED: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


class Header:
    """Header row of a file: separator and column names."""

    def __init__(self, path: Path, separator: str, written: Sequence[str]) -> None:
        self.separator = separator
        self.written = list(written)
        """Column names as written."""
        self.columns = told_apart(self.written)
        """Unique column names: a repeated or empty name gets a number."""
        self._path = path

    def __str__(self) -> str:
        if len(self.written) == 1:
            return f"{self._path} has one column: {self.written[0]}"
        return f"{self._path}, read with {_NAMED[self.separator]} between columns, has: {', '.join(self.written)}"


def headers(path: Path, longest: int) -> list[Header]:
    """Parse the first line with each candidate separator; likeliest first, then by number of columns.

    Raises ConfigurationError if the line is not CSV or exceeds ``longest`` bytes.
    """
    _lift_field_limit(longest)
    possible = []
    for separator in _SEPARATORS[form_of(path)]:
        with _open_text(path) as file:
            try:
                written = next(_csv_reader(_RecordLines(file, longest), separator), [])
            except csv.Error as error:
                problem = error
                continue
            except _TooLongError:
                raise ConfigurationError(
                    f"the first line of {path} exceeds {longest:,} bytes: raise the limit (max_row_bytes, "
                    "--max-row-bytes), or rename the file to the suffix of its format",
                ) from None
        possible.append(Header(path, separator, written))
    if possible and _HINT.fullmatch(possible[0].written[0] if possible[0].written else ""):
        raise ConfigurationError(
            f"the first line of {path} is a separator hint for Excel ({possible[0].written[0]}), not a header: the "
            "separator is detected without it. Delete that line, for example with sed -i 1d"
        )
    if not possible:
        raise ConfigurationError(f"the first line of {path} is not CSV: {problem}")
    try:
        "".join(possible[0].written).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"the column names in {path} are not UTF-8: convert the file, for example with "
            "iconv -f WINDOWS-1252 -t UTF-8",
        ) from None
    return sorted(possible, key=lambda header: len(header.written), reverse=True)


def delimited_rows(path: Path, defaults: Defaults, reader: RowReader) -> Iterator[Row]:
    """Return the rows below the header. A malformed row, or one over the size limit, carries the error.

    Raises ConfigurationError, before the first row, for a missing column.
    """
    header = _header_with_what_is_asked(path, defaults)
    reader.reads_table(header.columns, typed=False)
    return _rows(path, header, reader, defaults.max_row_bytes)


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


def _rows(path: Path, header: Header, reader: RowReader, longest: int) -> Iterator[Row]:
    for line, values in _records(path, header.separator, longest):
        if not reader.wants_next():
            continue
        if isinstance(values, _TooLongError):
            yield reader.too_long(line)
        elif isinstance(values, csv.Error):
            yield reader.unreadable(line, f"not CSV: {values}", b"")
        else:
            yield _row(header.columns, values, line, reader)


def told_apart(written: Sequence[str]) -> list[str]:
    """Return unique column names: an empty or repeated name is replaced by its position."""
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


class _TooLongError(Exception):
    """A record exceeds the maximum row size."""


class _RecordLines:
    """Lines of a file for a CSV reader; buffers at most one record's maximum size."""

    def __init__(self, file: TextIO, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._left = longest
        self._quotes = 0
        self._half = False
        self.number = 0
        """Lines read so far."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line. Raises _TooLongError if the record exceeds the limit."""
        line = self._read(self._left + 2)
        if not line:
            raise StopIteration
        self.number += 1
        self._quotes += line.count('"')
        self._left -= len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
        if self._left < -1:  # the line feed does not count
            self._pass_over(line)
            raise _TooLongError
        return line

    def begin_record(self) -> None:
        """Start a new record."""
        self._left, self._quotes = self._longest, 0

    def _pass_over(self, piece: str) -> None:
        """Skip to the end of the record: a line ending inside quotes would be parsed as a row."""
        while not (piece.endswith(("\n", "\r")) and self._quotes % 2 == 0):
            ended = piece.endswith(("\n", "\r"))
            piece = self._read(_PIECE)
            if not piece:
                return
            self.number += ended
            self._quotes += piece.count('"')

    def _read(self, most: int) -> str:
        piece = self._file.readline(most)
        if self._half and piece == "\n":
            # The limit fell between the two characters of a CRLF.
            piece = self._file.readline(most)
        self._half = piece.endswith("\r")
        return piece


def _lift_field_limit(longest: int) -> None:
    """Raise csv's process-wide field limit (128 KiB by default); a document may be longer."""
    csv.field_size_limit(max(csv.field_size_limit(), min(longest + 2, _LONGEST_FIELD)))


def _records(path: Path, separator: str, longest: int) -> Iterator[tuple[int, list[str] | csv.Error | _TooLongError]]:
    """Yield each record below the header with its first line number, or its error."""
    with _open_text(path) as file:
        lines = _RecordLines(file, longest)
        records = _csv_reader(lines, separator)
        with suppress(csv.Error):
            next(records, [])
        while True:
            lines.begin_record()
            line = lines.number + 1
            try:
                values = next(records)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as error:
                yield line, error
                continue
            if values:
                yield line, values


def _open_text(path: Path) -> TextIO:
    # Invalid UTF-8 becomes lone surrogates, so that the row is rejected and not the file.
    return TextIOWrapper(open_input(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_reader(lines: Iterator[str], separator: str) -> _Reader:
    # Without strict, an unclosed quote would silently turn the rest of the file into one row.
    return csv.reader(lines, strict=True, delimiter=separator)


def _row(columns: list[str], values: list[str], line: int, reader: RowReader) -> Row:
    if len(values) != len(columns):
        reason = f"{len(values)} fields, but the header has {len(columns)}"
        return reader.unreadable(line, reason, repr(values).encode("utf-8", "replace"))
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return reader.unreadable(line, "not UTF-8", repr(values).encode("utf-8", "replace"))
    return reader.read(dict(zip(columns, values, strict=True)), line)
