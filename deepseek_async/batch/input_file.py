"""Input file detection: format, compression, and content that cannot be rows."""

from __future__ import annotations

import zlib
from gzip import GzipFile
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from deepseek_async.errors import ConfigurationError

Form = Literal["jsonl", "txt", "csv", "tsv", "parquet"]

BUFFER: Final = 1 << 17
_LOOKED_AT: Final = 1 << 16
BOM: Final = b"\xef\xbb\xbf"
_SHOWN: Final = 4096
_BLANK: Final = 32
_GZIP: Final = ".gz"
_FORMS: Final[dict[str, Form]] = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".txt": "txt"}
_FOREIGN: Final = (
    # Office files and archives share their first bytes; the suffix tells them apart.
    (b"PK\x03\x04", "a spreadsheet or an archive", "save the sheet as CSV in UTF-8, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old office file", "save the sheet as CSV in UTF-8"),
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"ARROW1", "an Arrow file", "write it as Parquet: pyarrow.parquet.write_table(pyarrow.feather.read_table(…), …)"),
    (b"Obj\x01", "an Avro file", "write it as JSON lines or Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"SQLite format 3\0", "a SQLite database", "export the table: sqlite3 -csv -header FILE 'SELECT …'"),
    (b"%PDF-", "a PDF file", "extract its text, a prompt a line or a JSON object a line"),
    (b"\x1f\x8b", "gzip-compressed", "let its name end in .gz"),
    (b"BZh", "bzip2-compressed", "decompress it"),
    (b"\xfd7zXZ", "xz-compressed", "decompress it"),
    (b"(\xb5/\xfd", "zstd-compressed", "decompress it"),
)
"""First bytes of unsupported files, what they are, and what to do. Some marks can also begin a text."""
_SHEETS: Final = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".numbers"})
_ENCODINGS: Final = (
    # UTF-32 first: its mark starts with that of UTF-16.
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def form_of(path: Path) -> Form:
    """Return the format for the file's suffix, JSON lines if unknown; a trailing ``.gz`` is ignored."""
    name = path.with_suffix("") if path.suffix.lower() == _GZIP else path
    return _FORMS.get(name.suffix.lower(), "jsonl")


def open_input(path: Path) -> BufferedReader[Any]:
    """Open the file, decompressing it if its name ends in ``.gz``.

    Raises ConfigurationError if it cannot be opened, and on reading if the gzip data is invalid.
    """
    try:
        file = BufferedReader(path.open("rb", buffering=0), BUFFER)
    except OSError as error:
        raise ConfigurationError(f"cannot read the input {path}: {error.strerror}") from None
    if path.suffix.lower() != _GZIP:
        return file
    return BufferedReader(_Unpacked(path, file), BUFFER)


def refuse_what_cannot_be_rows(path: Path) -> None:
    """Raise ConfigurationError for a file that is unreadable, not UTF-8, or one JSON value over several lines.

    Every row of such a file would fail, or worse, be parsed as something else and be paid for.
    """
    with open_input(path) as file:
        if not path.is_file():
            return  # the first bytes of a pipe can be read only once
        start = file.read(_LOOKED_AT)
    for mark, name in _ENCODINGS:
        if start.startswith(mark):
            raise ConfigurationError(
                f"the input {path} must be UTF-8, got {name}: convert it with iconv -f {name} -t UTF-8",
            )
    _refuse_foreign(path, start)
    if form_of(path) == "jsonl":
        first = next((text for line in start.removeprefix(BOM).splitlines() if (text := line.strip())), b"")
        if first in {b"[", b"{"} or (first[:1] == b"[" and first[-1:] == b","):
            inner = ".[]" if first[:1] == b"[" else "."
            raise ConfigurationError(
                f"the input {path} is JSON over several lines, but each row needs its own line: convert it with jq -c "
                f"'{inner}'",
            )


def _refuse_foreign(path: Path, start: bytes) -> None:
    if path.suffix.lower() in _SHEETS:
        raise ConfigurationError(
            f"the input {path} is a spreadsheet, which is not supported: save the sheet as CSV in UTF-8"
        )
    for mark, what, way in _FOREIGN:
        # A text may start with these letters, but has no binary bytes.
        if start.startswith(mark) and (not mark.isascii() or not mark.isalnum() or _is_binary(start)):
            raise ConfigurationError(f"the input {path} is {what}, not rows: {way}")
    if b"\0\0" in {start[:4:2], start[1:4:2]}:
        raise ConfigurationError(
            f"the input {path} must be UTF-8, but its zero bytes indicate UTF-16: convert it with iconv -f UTF-16LE "
            "-t UTF-8, or UTF-16BE",
        )


def _is_binary(start: bytes) -> bool:
    return any(byte < _BLANK and byte not in b"\t\n\r\f\v" for byte in start[:_SHOWN])


class _Unpacked(RawIOBase):
    """Decompressed bytes of a gzip file. Invalid data is an input error, not a disk error."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__()
        self._path = path
        self._packed = file
        self._file = GzipFile(fileobj=file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data = self._file.read(memoryview(buffer).nbytes)
        except (EOFError, OSError, zlib.error) as error:
            raise ConfigurationError(f"the input {self._path} is not a complete gzip file: {error}") from None
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._packed.close()
        super().close()
