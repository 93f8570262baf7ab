"""Rows out of a file with a header and a separator: comma, semicolon, tab or bar."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from deepseek_async.batch.input_file import form_of, open_input
from deepseek_async.batch.row import Row, RowReader
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_SEPARATORS: Final = {"csv": (",", ";", "\t", "|"), "tsv": ("\t", ",", ";", "|")}
"""By the form of the file, those that it may have, the likeliest first."""
_PIECE: Final = 1 << 16
_LONGEST_FIELD: Final = (1 << 31) - 1
"""The csv module keeps the limit in a C long, which has 32 bits on some platforms."""
_HINT: Final = re.compile(r"sep=.?", re.IGNORECASE)
"""The first cell of a file that tells Excel how its columns are separated."""
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


def headers(path: Path, longest: int) -> list[Header]:
    """What the first line says with each separator that it may have; the likeliest first, and of most columns.

    Raises ConfigurationError if it is no such line, or has more than ``longest`` bytes.
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
                    f"the first line of {path} has more than {longest:,} bytes: allow more (max_row_bytes, "
                    "--max-row-bytes), or let the file's suffix say what it is",
                ) from None
        possible.append(Header(path, separator, written))
    if possible and _HINT.fullmatch(possible[0].written[0] if possible[0].written else ""):
        raise ConfigurationError(
            f"the first line of {path} is a hint for Excel ({possible[0].written[0]}) and no header: the separator is "
            "found without it. Delete that line, for example with sed -i 1d"
        )
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


def delimited_rows(path: Path, header: Header, reader: RowReader, longest: int) -> Iterator[Row]:
    """The rows behind the header. One that is no such row, or has more than ``longest`` bytes, carries the error."""
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


class _TooLongError(Exception):
    """A record has more bytes than a row may have."""


class _RecordLines:
    """The lines of a file for a CSV reader, which are never more at a time than one record may have."""

    def __init__(self, file: TextIO, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._left = longest
        self._quotes = 0
        self._half = False
        self.number = 0
        """Lines read."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line. Raises _TooLongError if the record is longer than it may be."""
        line = self._read(self._left + 2)
        if not line:
            raise StopIteration
        self.number += 1
        self._quotes += line.count('"')
        self._left -= len(line) if line.isascii() else len(line.encode("utf-8", "surrogateescape"))
        if self._left < -1:  # not for its line feed
            self._pass_over(line)
            raise _TooLongError
        return line

    def begin_record(self) -> None:
        """What comes belongs to another record."""
        self._left, self._quotes = self._longest, 0

    def _pass_over(self, piece: str) -> None:
        """Read to the record's end, which no line is that ends between quotes: it would be taken for a row."""
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
            # A piece of so many characters ended between the two of this line's end.
            piece = self._file.readline(most)
        self._half = piece.endswith("\r")
        return piece


def _lift_field_limit(longest: int) -> None:
    """The limit is the process's and 128 KiB by default; a document may be longer."""
    csv.field_size_limit(max(csv.field_size_limit(), min(longest + 2, _LONGEST_FIELD)))


def _records(path: Path, separator: str, longest: int) -> Iterator[tuple[int, list[str] | csv.Error | _TooLongError]]:
    """The records behind the header with the lines on which they begin, or what is wrong with them."""
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
    # Bytes that are not UTF-8 come as lone surrogates, so that their row is refused and not the file.
    return TextIOWrapper(open_input(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_reader(lines: Iterator[str], separator: str) -> _Reader:
    # Not strict, a quote that is never closed would make the rest of the file one row without a word.
    return csv.reader(lines, strict=True, delimiter=separator)


def _row(columns: list[str], values: list[str], line: int, reader: RowReader) -> Row:
    if len(values) != len(columns):
        reason = f"{len(values)} fields where the header has {len(columns)}"
        return reader.unreadable(line, reason, repr(values).encode("utf-8", "replace"))
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return reader.unreadable(line, "not UTF-8", repr(values).encode("utf-8", "replace"))
    return reader.read(dict(zip(columns, values, strict=True)), line)
