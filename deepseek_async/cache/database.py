"""File of the disk tier: identified before it is opened, inspected, and set aside if damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from deepseek_async.files.private_files import open_private
from deepseek_async.files.sqlite_file import (
    ForeignFileError,
    SQLiteConnection,
    application_of,
    connected,
    is_busy,
    looked_into,
    marks_of,
    refuse_foreign,
)

VERSION: Final = 1
APPLICATION: Final = 0x44534B43
"""Application id in the file's header (``DSKC``), which identifies a cache. Other files are never opened."""

_SAFE_WITH_TWO_WRITERS: Final = (3, 51, 3)
"""Older versions can lose the end of a write-ahead log with two writing connections (sqlite.org, WAL-reset bug)."""

_WAIT: Final = 5.0
"""Seconds to wait for another process's transaction."""

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS entries
    (key BLOB PRIMARY KEY, stored REAL NOT NULL, used REAL NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
"""


class UnknownVersionError(sqlite3.DatabaseError):
    """The cache has another format version."""


class NotYetError(sqlite3.OperationalError):
    """No cache yet; another process may be creating it."""


class NotACacheError(OSError):
    """The file belongs to another program."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{reason}; name another file")
        self.path = path


class Stored(msgspec.Struct, frozen=True):
    """Figures of a cache file."""

    entries: int
    bytes: int
    """Size without free pages, in bytes."""
    oldest: float | None
    """Unix time of the oldest answer."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, as opposed to a failure of the disk, a lock or a permission."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, UnknownVersionError) or (code is not None and code & 0xFF in _CORRUPT)


def another_is_at_work(error: Exception) -> bool:
    """Whether another process is creating the file, or holds it in an unreadable state for a moment."""
    return isinstance(error, NotYetError) or (isinstance(error, sqlite3.Error) and is_busy(error))


class WriterLock:
    """Lock of the single writing process; the kernel releases it when the process exits, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._descriptor = -1

    def take(self) -> bool:
        """Whether this process may write: always with an SQLite version that supports several writers."""
        descriptor = open_private(self._path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return sqlite3.sqlite_version_info >= _SAFE_WITH_TWO_WRITERS
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            # Closing the descriptor is not enough while a process being spawned has a copy.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1


def refuse_what_is_not_ours(path: Path) -> None:
    """Raise NotACacheError unless the file is a cache or empty. Writes nothing and creates no file."""
    try:
        refuse_foreign(path, APPLICATION)
    except ForeignFileError as error:
        raise NotACacheError(path, str(error)) from None


def _connected(path: Path, *, wait: float, writes: bool) -> SQLiteConnection:
    try:
        return connected(path, APPLICATION, wait=wait, writes=writes)
    except ForeignFileError as error:
        raise NotACacheError(path, str(error)) from None


def open_writer(path: Path) -> sqlite3.Connection:
    """Open a writing connection; creates the file if missing. Raises sqlite3.Error and OSError."""
    connection = _connected(path, wait=_WAIT, writes=True)
    try:
        _refuse_other_versions(connection)
        # One transaction, because another process may inspect the file meanwhile; before the log is enabled,
        # because the header of the main file must identify it.
        marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLE} {marks} COMMIT;")
        _keep_a_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Enable the log. If two connections do so at once, SQLite fails one of them immediately to avoid a deadlock."""
    until = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a reading connection that does not wait for locks.

    Raises NotYetError if another process is creating the file, sqlite3.Error and OSError.
    """
    if not (path.exists() and path.stat().st_size):
        raise NotYetError("it is empty")
    connection = _connected(path, wait=0.0, writes=False)
    try:
        if _refuse_other_versions(connection) == (0, 0):
            raise NotYetError("it is empty")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def stored_in(path: Path) -> Stored:
    """Return the figures of a cache, read without side effects. Raises NotACacheError, sqlite3.Error and OSError."""
    refuse_what_is_not_ours(path)
    if not path.stat().st_size:
        return Stored(0, 0, None)
    with looked_into(path) as connection:
        _refuse_other_versions(connection)
        return stored(connection)


def stored(connection: sqlite3.Connection) -> Stored:
    """Return the figures of an open cache. Raises sqlite3.Error."""
    entries, oldest = connection.execute("SELECT count(*), min(stored) FROM entries").fetchone()
    return Stored(entries, bytes_of(connection), oldest)


def bytes_of(connection: sqlite3.Connection) -> int:
    """Return the size of the file without free pages."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in one transaction. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def set_aside(path: Path) -> Path:
    """Rename a cache and its log to an unused name, or to that of a cache set aside earlier."""
    aside = next(place for place in _places(path) if _is_ours_or_nothing(place))
    with suppress(FileNotFoundError):
        path.with_name(path.name + "-shm").unlink()
    with suppress(FileNotFoundError):
        aside.with_name(aside.name + "-wal").unlink()
    with suppress(FileNotFoundError):
        path.with_name(path.name + "-wal").replace(aside.with_name(aside.name + "-wal"))
    path.replace(aside)
    return aside


def _places(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.damaged")
    for number in count(2):
        yield path.with_name(f"{path.name}.damaged.{number}")


def _is_ours_or_nothing(path: Path) -> bool:
    try:
        return not path.is_symlink() and (not path.exists() or application_of(path) == APPLICATION)
    except ForeignFileError:
        return False


def _refuse_other_versions(connection: sqlite3.Connection) -> tuple[int, int]:
    marks = marks_of(connection)
    if marks not in {(APPLICATION, VERSION), (0, 0)}:
        raise UnknownVersionError(f"cache format must be version {VERSION}, got {marks[1]}")
    return marks
