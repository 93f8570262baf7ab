"""Lines of a text file, and the rows of plain text: one prompt a line."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final

from deepseek_async.batch.input_file import BOM, BUFFER, open_input
from deepseek_async.batch.row import Row, RowReader
from deepseek_async.files.bounded_lines import LongLine, lines_of

_LOOKED_AT: Final = 1 << 16

Line = bytes | LongLine
"""A stripped line, or the digest of one over the size limit."""


def text_lines(path: Path, longest: int) -> Iterator[tuple[int, Line]]:
    """Yield non-blank lines with their numbers. Raises ConfigurationError if the file cannot be opened."""
    with open_input(path) as file:
        start = file.peek(_LOOKED_AT)
        old_mac = b"\r" in start and b"\n" not in start
        lines = BufferedReader(_OldMac(file), BUFFER) if old_mac else file
        for number, line in enumerate(lines_of(lines, longest), 1):
            if isinstance(line, LongLine):
                yield number, line
                continue
            text = line.removeprefix(BOM).strip() if number == 1 else line.strip()
            if text:
                yield number, text


def not_utf8(error: UnicodeDecodeError) -> str:
    """Describe a line that cannot be decoded."""
    return f"not UTF-8: {error.reason} at byte {error.start + 1}"


def text_rows(lines: Iterator[tuple[int, Line]], reader: RowReader) -> Iterator[Row]:
    """Yield a row for each line, which is its prompt."""
    for number, line in lines:
        if not reader.wants_next():
            continue
        if isinstance(line, LongLine):
            yield reader.too_long(number, line.size, line.digest)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield reader.unreadable(number, not_utf8(error), line)
        else:
            yield reader.read(text, number)


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
