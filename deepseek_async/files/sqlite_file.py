"""Whose SQLite database a file is, by its bytes, a connection to one of ours, and a look into one without a trace.

SQLite cannot be asked: a connection, also one that only reads, makes files beside a database with a write-ahead log,
and the last one to close folds the log into it (sqlite.org, "Read-Only WAL-Mode Databases").

Nor may a file be opened by hand and closed while this process is connected to it: closing any descriptor of a file
gives up all locks that the process holds on it (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from weakref import WeakSet

from deepseek_async.files.private_files import open_private
from deepseek_async.process.forks import AtFork, register

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


class SQLiteConnection(sqlite3.Connection):
    """One that ``connected`` made: until it is closed, no descriptor of its file is."""

    file: tuple[int, int] | None = None
    """Device and number of the file."""

    def close(self) -> None:
        """As sqlite3's."""
        super().close()
        _process.disconnected(self)


class _Process(AtFork):
    """What this process is connected to."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        """Held while a file is read by hand, and while one is connected to: never both at a time."""
        self._connections: WeakSet[SQLiteConnection] = WeakSet()
        self._descriptors: dict[tuple[int, int], int] = {}
        """To read with, one for each file; closed after its last connection."""
        register(self)

    def after_fork_in_child(self) -> None:
        """Another thread of the parent may have held it."""
        self.turn = threading.RLock()

    def connected(self, connection: SQLiteConnection, path: Path) -> None:
        """``connection`` is one to the file at ``path``."""
        descriptor = self.descriptor_of(path)
        if descriptor is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        connection.file = _identity(os.fstat(descriptor))
        self._descriptors[connection.file] = descriptor
        self._connections.add(connection)

    def disconnected(self, connection: SQLiteConnection) -> None:
        """It is closed."""
        with self.turn:
            self._connections.discard(connection)
            if connection.file is None or any(other.file == connection.file for other in self._connections):
                return
            descriptor = self._descriptors.pop(connection.file, None)
            if descriptor is not None:
                os.close(descriptor)

    def descriptor_of(self, path: Path) -> int | None:
        """One to read the file at ``path`` with, if this process is connected to it."""
        with suppress(OSError):
            return self._descriptors.get(_identity(path.stat()))
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_process: Final = _Process()


def connected(path: Path, application: int, *, wait: float, writes: bool) -> SQLiteConnection:
    """A connection to the database at ``path``, which is made if there is none and the connection ``writes``.

    ``wait``: seconds for a transaction of another process. One thread may use it at a time, any thread.
    Raises ForeignFileError for what is not a database of ``application``, an empty file or nothing; sqlite3.Error and
    OSError.
    """
    with _process.turn:
        refuse_foreign(path, application)
        if writes and (path.is_symlink() or _process.descriptor_of(path) is None):
            os.close(open_private(path, os.O_RDWR))
        connection = sqlite3.connect(
            path if writes else f"{path.absolute().as_uri()}?mode=ro",
            timeout=wait,
            isolation_level=None,
            check_same_thread=False,
            uri=not writes,
            factory=SQLiteConnection,
        )
        try:
            _process.connected(connection, path)
        except OSError:
            connection.close()
            raise
    return connection


def marks_of(connection: sqlite3.Connection) -> tuple[int, int]:
    """Application id and version, of one moment: another process may be writing them. Raises sqlite3.Error."""
    # The first of the two is read until the second is, and what is being read is not written.
    question = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    application, version = connection.execute(question).fetchone()
    return application, version


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is at work on the file, in any of the ways that SQLite tells apart."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


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
        header = _header(path)
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

    A log or a journal that no program has open is looked into in a copy. Waits for a transaction of another process.
    Raises sqlite3.Error and OSError.
    """
    log, index = _beside(path, "-wal"), _beside(path, "-shm")
    with tempfile.TemporaryDirectory(prefix="deepseek_async-") as folder:
        place, options = path, "mode=ro"
        with _process.turn:
            if _process.descriptor_of(path) is not None:
                pass  # whatever would be made or ended is made and ended by that connection
            elif _was_left_amid_a_transaction(path) or (_size(log) and not index.exists()):
                place, options = _copied(path, Path(folder)), "mode=rw"  # to end in the copy what was begun
            elif _size(log):
                options = "mode=ro&readonly_shm=1"
            elif _has_log(path):
                # Without a log the file is all there is, and nothing else would keep SQLite from making one.
                options = "mode=ro&immutable=1"
        connection = _looking(place, options)
        try:
            yield connection
        finally:
            connection.close()


def _looking(path: Path, options: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?{options}"
    return sqlite3.connect(address, timeout=_WAIT, isolation_level=None, uri=True)


def _was_left_amid_a_transaction(path: Path) -> bool:
    """Whether there is a journal that must be played back, and not one of a program that is writing now."""
    if not _size(_beside(path, "-journal")):
        return False
    if _has_log(path):
        return True
    connection = _looking(path, "mode=ro")
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        return True
    finally:
        connection.close()
    return False


def _copied(path: Path, folder: Path) -> Path:
    copy = Path(shutil.copy(path, folder))
    for left in (_beside(path, "-wal"), _beside(path, "-journal")):
        with suppress(FileNotFoundError):  # another program has ended meanwhile what was begun
            shutil.copy(left, folder)
    return copy


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
    return _header(path)[18:20] == b"\2\2"


def _header(path: Path) -> bytes:
    with _process.turn:
        descriptor = _process.descriptor_of(path)
        if descriptor is not None:
            return os.pread(descriptor, _HEADER, 0)
        with path.open("rb") as file:
            return file.read(_HEADER)


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
