"""SQLite files: identification by header bytes, safe connections, and read-only inspection without side effects.

SQLite itself cannot be asked: even a read-only connection creates files beside a database with a write-ahead log,
and the last one to close checkpoints the log (sqlite.org, "Read-Only WAL-Mode Databases").

A file must not be opened and closed directly while this process is connected to it: closing any descriptor of a
file releases all locks that the process holds on it (sqlite.org, "How To Corrupt An SQLite Database File", 2.2).
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
"""Offset of the application id in the header (sqlite.org, "Database File Format", 1.3)."""
_HEADER: Final = 100
_LOG_MAGIC: Final = frozenset({0x377F0682, 0x377F0683})
_LOG_BEGINNINGS: Final = frozenset({b"", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"})
_JOURNAL_BEGINNINGS: Final = frozenset({b"", bytes(4), b"\xd9\xd5\x05\xf9"})
"""Empty, the zeroed header of a persistent journal, and the journal magic ("Database File Format", 3)."""
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_WAIT: Final = 10.0
"""Seconds to wait for another process's write transaction."""


class ForeignFileError(Exception):
    """A file that is not a database of this library; the message is a predicate."""


class SQLiteConnection(sqlite3.Connection):
    """A connection from ``connected``; while it is open, no other descriptor of its file is closed."""

    file: tuple[int, int] | None = None
    """Device and inode of the file."""

    def close(self) -> None:
        """Close the connection as sqlite3 does, then release the shared descriptor."""
        super().close()
        _process.disconnected(self)


class _Process(AtFork):
    """Open connections of this process, by file."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        """Held while a file is read directly and while a connection is opened, so that the two never overlap."""
        self._connections: WeakSet[SQLiteConnection] = WeakSet()
        self._descriptors: dict[tuple[int, int], int] = {}
        """Read-only descriptors, one per file; closed after the last connection to the file."""
        register(self)

    def after_fork_in_child(self) -> None:
        """Replace the lock: another thread of the parent may have held it."""
        self.turn = threading.RLock()

    def connected(self, connection: SQLiteConnection, path: Path) -> None:
        """Record ``connection`` to the file at ``path``."""
        descriptor = self.descriptor_of(path)
        if descriptor is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        connection.file = _identity(os.fstat(descriptor))
        self._descriptors[connection.file] = descriptor
        self._connections.add(connection)

    def disconnected(self, connection: SQLiteConnection) -> None:
        """Record that ``connection`` is closed."""
        with self.turn:
            self._connections.discard(connection)
            if connection.file is None or any(other.file == connection.file for other in self._connections):
                return
            descriptor = self._descriptors.pop(connection.file, None)
            if descriptor is not None:
                os.close(descriptor)

    def descriptor_of(self, path: Path) -> int | None:
        """Return a descriptor for reading ``path`` if this process is connected to it, else None."""
        with suppress(OSError):
            return self._descriptors.get(_identity(path.stat()))
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_process: Final = _Process()


def connected(path: Path, application: int, *, wait: float, writes: bool) -> SQLiteConnection:
    """Connect to the database at ``path``; with ``writes``, creates it if missing.

    ``wait``: seconds to wait for another process's transaction. Any thread may use the connection, one at a time.
    Raises ForeignFileError if the file is neither a database of ``application`` nor empty nor missing; sqlite3.Error
    and OSError.
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
    """Return application id and user version, read atomically. Raises sqlite3.Error."""
    # The read lock of the first value covers the second, so no writer comes between them.
    question = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
    application, version = connection.execute(question).fetchone()
    return application, version


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds a lock on the file; covers all of SQLite's codes for it."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def application_of(path: Path) -> int | None:
    """Return the application id of the database at ``path``; None if it is missing or empty.

    Reads bytes without connecting. Raises ForeignFileError if the file is not an SQLite database, and OSError.
    """
    header = b""
    log = _beside(path, "-wal")
    # Looked at before the header: whoever creates a database writes its header before its log.
    logged = _size(log)
    for beside, beginnings in ((log, _LOG_BEGINNINGS), (_beside(path, "-journal"), _JOURNAL_BEGINNINGS)):
        if _beginning(beside) not in beginnings:
            raise ForeignFileError(f"{beside.name} beside it is not an SQLite file")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ForeignFileError("it is not a regular file")
        header = _header(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    if not header:
        if logged:
            raise ForeignFileError(f"{log.name} beside it belongs to a deleted database")
        return None
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise ForeignFileError("it is not an SQLite database")
    application = int.from_bytes(header[_APPLICATION], "big")
    # Before the first checkpoint, page 1 exists only in the log.
    return application or _application_in(log)


def refuse_foreign(path: Path, application: int) -> None:
    """Raise ForeignFileError unless ``path`` is a database of ``application``, empty, or missing."""
    found = application_of(path)
    if found not in {None, application}:
        named = f" (application id {found:#010x})" if found else ""
        raise ForeignFileError(f"it is a database of another program{named}")


@contextmanager
def looked_into(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to the database at ``path`` without changing it, its log, or any file beside it.

    A log or journal that no program has open is read from a copy. Waits for another process's transaction.
    Raises sqlite3.Error and OSError.
    """
    log, index = _beside(path, "-wal"), _beside(path, "-shm")
    with tempfile.TemporaryDirectory(prefix="deepseek_async-") as folder:
        place, options = path, "mode=ro"
        with _process.turn:
            if _process.descriptor_of(path) is not None:
                pass  # the open connection owns log and journal
            elif _was_left_amid_a_transaction(path) or (_size(log) and not index.exists()):
                place, options = _copied(path, Path(folder)), "mode=rw"  # recover in the copy
            elif _size(log):
                options = "mode=ro&readonly_shm=1"
            elif _has_log(path):
                # Without a log the file is complete, and immutable=1 keeps SQLite from creating one.
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
    """Whether a hot journal exists that no running program owns."""
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
        with suppress(FileNotFoundError):  # another program has finished the recovery
            shutil.copy(left, folder)
    return copy


def _application_in(log: Path) -> int:
    """Return the application id in the last committed page 1 of a write-ahead log; 0 if there is none."""
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
    """Yield page number, database size if the frame commits, and the start of the page, for each frame."""
    while len(head := file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
        number, pages, *frame_salts, _, _ = _FRAME_HEADER.unpack(head)
        page = file.read(_HEADER)
        if frame_salts != salts or len(page) < _HEADER:
            return
        file.seek(size - _HEADER, os.SEEK_CUR)
        yield number, pages, page


def _has_log(path: Path) -> bool:
    """Whether the header declares a write-ahead log."""
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
    """Return the first four bytes of a journal or log; None if it is not a regular file."""
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
