"""The file of the disk tier: opened, recognised, set aside when it cannot be used."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from deepseek_async.private_files import open_private

VERSION: Final = 1
APPLICATION: Final = 0x44534B43
"""``DSKC`` in the file's header, so that no other program's database is taken for a cache."""

_SAFE_WITH_TWO_WRITERS: Final = (3, 51, 3)
"""Older versions can lose the end of a write-ahead log that two connections write (sqlite.org, WAL-reset bug)."""

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS entries
    (key BLOB PRIMARY KEY, stored REAL NOT NULL, used REAL NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_use ON entries (used);
"""


class UnknownDatabaseError(sqlite3.DatabaseError):
    """Another program's database, or another version of ours."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, and not the disk, a lock or a permission."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, UnknownDatabaseError) or (code is not None and code & 0xFF in _CORRUPT)


class WriterLock:
    """Held by the one process that writes; released by the kernel when that process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._descriptor = -1

    def take(self) -> bool:
        """Whether this process may write: always, with an SQLite that stands several writers."""
        descriptor = open_private(self._path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return sqlite3.sqlite_version_info >= _SAFE_WITH_TWO_WRITERS
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let another process write."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes; the file is made if there is none. Raises sqlite3.Error and OSError."""
    os.close(open_private(path, os.O_RDWR))
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        _recognise(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # In one transaction, because another process may look at the file meanwhile.
        marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLE} {marks} COMMIT;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and does not wait for a lock. Raises sqlite3.Error if there is no file."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, timeout=0.0, isolation_level=None, check_same_thread=False, uri=True)
    try:
        _recognise(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def set_aside(path: Path) -> Path:
    """Move the file out of the way, in the place of one that was moved there before."""
    aside = path.with_name(path.name + ".damaged")
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).unlink()
    path.replace(aside)
    return aside


def _recognise(connection: sqlite3.Connection) -> None:
    question = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM "
    application, version, tables = connection.execute(
        f"{question} pragma_application_id, pragma_user_version",
    ).fetchone()
    if (application, version) == (APPLICATION, VERSION):
        return
    if application or version or tables:
        raise UnknownDatabaseError(f"it is not a cache of version {VERSION} (application {application:#x}, {version})")
