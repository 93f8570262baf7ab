"""Files of somebody else's, and what they were before: what every test of a path that the user names by mistake needs.

``KINDS`` makes one file of each kind. ``Snapshot`` remembers bytes, time, inode and kind of all that is in a folder,
so that a file that was touched, moved, replaced or made beside another one shows.
"""

from __future__ import annotations

import gzip
import os
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

Maker = Callable[[Path], None]


def _database(*statements: str) -> Maker:
    def make(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for statement in ("CREATE TABLE orders (n)", "INSERT INTO orders VALUES (1), (2)", *statements):
            connection.execute(statement)
        connection.close()

    return make


def _database_with_a_log(path: Path) -> None:
    """Committed rows that are in the log alone, as a program that was killed leaves them."""
    kept = path.with_name("kept")
    connection = sqlite3.connect(kept, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE orders (n)")
    path.write_bytes(kept.read_bytes())
    path.with_name(path.name + "-wal").write_bytes(kept.with_name("kept-wal").read_bytes())
    connection.close()
    kept.unlink()


def _text(content: bytes) -> Maker:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


def _linked(path: Path) -> None:
    target = path.with_name("target of the link")
    target.write_bytes(b"what the link leads to\n")
    path.symlink_to(target)


def _hard_linked(path: Path) -> None:
    target = path.with_name("the same file")
    target.write_bytes(b"one file, two names\n")
    path.hardlink_to(target)


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")  # an address may have 107 bytes
    os.close(folder)


FILES: Final[dict[str, Maker]] = {
    "notes": _text(b"my only copy\nof some notes"),
    "package.json": _text(b'{\n  "name": "my-project",\n  "version": 1\n}'),
    "source text": _text(b"int main()\n{\n}\n/* the only copy of my notes */"),
    "rows of a job": _text(b'{"custom_id":"r1","messages":[{"role":"user","content":"hi"}]}\n'),
    "answers of another program": _text(b'{"custom_id":"r1","response":"yes","error":"none"}\n{"custom_id":"r2"}\n'),
    "notes with a line of an output": _text(
        b"a line of an output looks like this:\n"
        b'{"id":"batch_req_00000000000000ff","custom_id":"a","response":null,"error":{"code":"x","message":"y"}}\n'
    ),
    "table": _text(b"name;price\nbread;2\n"),
    "picture": _text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))),
    "disk image": _text(bytes(8192) + b"a file system\n" + bytes(4096)),
    "nothing but zeros": _text(bytes(4096)),
    "blank lines": _text(b"\n  \n"),
    "packed": _text(gzip.compress(b"packed\n")),
    "ceilings of a house": _text(b'{"ceilings": {"kitchen": [2.4, 3.1]}}'),
    "database": _database(),
    "database of a named program": _database("PRAGMA application_id = 7", "PRAGMA user_version = 1"),
    "database with a log": _database_with_a_log,
    "link": _linked,
    "hard link": _hard_linked,
}
"""Each makes a regular file, or a name of one."""

PLACES: Final[dict[str, Maker]] = {"pipe": os.mkfifo, "socket": _socket, "folder": lambda path: path.mkdir()}
"""What is no file at all."""

KINDS: Final = {**FILES, **PLACES}


class Snapshot:
    """All that is in a folder, and what it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = self._now()

    def _now(self) -> dict[str, Any]:
        found = {}
        for path in sorted(self._folder.rglob("*")):
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            time = None if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            found[str(path.relative_to(self._folder))] = (kind, status.st_mode, status.st_ino, time, content)
        return found

    def differences(self, *, but: frozenset[str] = frozenset()) -> list[str]:
        """Names of what is there now and was not, is there no more, or is another."""
        now = self._now()
        names = sorted(self._before.keys() | now.keys())
        return [name for name in names if name not in but and self._before.get(name) != now.get(name)]


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Nothing in ``folder`` is touched within the ``with``."""
    snapshot = Snapshot(folder)
    yield
    assert snapshot.differences() == []
