"""Whose SQLite database a file is, by its bytes, and a look into one that leaves no trace.

SQLite cannot be asked: a connection, also one that only reads, makes files beside a database with a write-ahead log,
and the last one to close folds the log into it (sqlite.org, "Read-Only WAL-Mode Databases").
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION: Final = slice(68, 72)
"""Where the header has the application id (sqlite.org, "Database File Format", 1.3)."""
_HEADER: Final = 100
_LOG_MAGIC: Final = frozenset({0x377F0682, 0x377F0683})
_LOG_BEGINNINGS: Final = frozenset({b"", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"})
_JOURNAL_BEGINNINGS: Final = frozenset({b"", bytes(4), b"\xd9\xd5\x05\xf9"})
"""Nothing, what ends a journal that stays, and the beginning of one ("Database File Format", 3)."""
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_WAIT: Final = 10.0
"""Seconds to wait for a transaction of a process that writes."""


class ForeignFileError(Exception):
    """A file that is not ours; the text is a clause that says what it is."""


def application_of(path: Path) -> int | None:
    """The application id of the database at ``path``; None if there is nothing there, or an empty file.

    Reads bytes and nothing else. Raises ForeignFileError for what is no database, and OSError.
    """
    header = b""
    log = _beside(path, "-wal")
    for beside, beginnings in ((log, _LOG_BEGINNINGS), (_beside(path, "-journal"), _JOURNAL_BEGINNINGS)):
        if _beginning(beside) not in beginnings:
            raise ForeignFileError(f"{beside.name} beside it is none of SQLite's")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ForeignFileError("it is no regular file")
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except (FileNotFoundError, NotADirectoryError):
        pass
    if not header:
        if _size(log):
            raise ForeignFileError(f"{log.name} beside it belongs to a database that is not there any more")
        return None
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise ForeignFileError("it is no SQLite database")
    application = int.from_bytes(header[_APPLICATION], "big")
    # The first page may be in the log alone, until the log is folded in.
    return application or _application_in(log)


def refuse_foreign(path: Path, application: int) -> None:
    """Raise ForeignFileError unless ``path`` is a database of that application, an empty file, or nothing yet."""
    found = application_of(path)
    if found not in {None, application}:
        named = f" (application id {found:#010x})" if found else ""
        raise ForeignFileError(f"it is a database of another program{named}")


@contextmanager
def looked_into(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the database at ``path`` that changes nothing: not the file, not a log, not a file beside it.

    A log or a journal that no program has open is looked into in a copy. Raises sqlite3.Error and OSError.
    """
    log, index, journal = (_beside(path, ending) for ending in ("-wal", "-shm", "-journal"))
    with tempfile.TemporaryDirectory(prefix="deepseek_async-") as folder:
        place, options = path, "mode=ro"
        if _size(journal) or (_size(log) and not index.exists()):
            place = Path(shutil.copy(path, folder))
            for left in (log, journal):
                if left.exists():
                    shutil.copy(left, folder)
            options = "mode=rw"  # to end in the copy what was begun
        elif _size(log):
            options = "mode=ro&readonly_shm=1"
        elif _has_log(path):
            # Without a log the file is all there is, and nothing else would keep SQLite from making one.
            options = "mode=ro&immutable=1"
        address = f"{place.absolute().as_uri()}?{options}"
        connection = sqlite3.connect(address, timeout=_WAIT, isolation_level=None, uri=True)
        try:
            yield connection
        finally:
            connection.close()


def _application_in(log: Path) -> int:
    """The application id of the last committed first page in a write-ahead log; 0 without one."""
    found = committed = 0
    try:
        with log.open("rb") as file:
            head = file.read(_LOG_HEADER.size)
            if len(head) < _LOG_HEADER.size:
                return 0
            magic, _, size, _, *salts, _, _ = _LOG_HEADER.unpack(head)
            if magic not in _LOG_MAGIC:
                return 0
            for number, pages, page in _frames(file, size, salts):
                if number == 1:
                    found = int.from_bytes(page[_APPLICATION], "big")
                if pages:
                    committed = found
    except FileNotFoundError:
        return 0
    return committed


def _frames(file: BinaryIO, size: int, salts: list[int]) -> Iterator[tuple[int, int, bytes]]:
    """Of each frame: the page's number, the size of the database if it commits, the beginning of the page."""
    while len(head := file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
        number, pages, *frame_salts, _, _ = _FRAME_HEADER.unpack(head)
        page = file.read(_HEADER)
        if frame_salts != salts or len(page) < _HEADER:
            return
        file.seek(size - _HEADER, os.SEEK_CUR)
        yield number, pages, page


def _has_log(path: Path) -> bool:
    """Whether the header says that the database has a write-ahead log."""
    with path.open("rb") as file:
        return file.read(_HEADER)[18:20] == b"\2\2"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _beginning(path: Path) -> bytes | None:
    """The first four bytes of a file that SQLite would make, or delete; None if it is no file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return file.read(4)
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
