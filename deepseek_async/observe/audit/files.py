"""The audit log's files: one or more for each day of UTC, deleted when they are older than they may be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from deepseek_async.files.private_files import open_private

_FIRST_LINE: Final = re.compile(
    rb'\{"event":"(call","at":"[^"]{24}","config_id":"[0-9a-f]{12}"|feedback","at":"[^"]{24}","response_id":)'
)
"""How the first line of every file begins: what proves that a file is one of the log."""

_NAME: Final = re.compile(r"audit-(\d{4}-\d{2}-\d{2})(?:\.(\d+))?\.jsonl")


_BLOCK: Final = 256


def day_of(at: float) -> date:
    """The day of UTC of a moment in seconds since 1970."""
    return datetime.fromtimestamp(at, UTC).date()


def files_in(folder: Path) -> Iterator[tuple[date, int, Path]]:
    """The log's files, oldest first: day, part of the day, path."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is not None and not path.is_symlink() and path.is_file():
            with suppress(ValueError):  # it is called after no day
                found.append((date.fromisoformat(match[1]), int(match[2] or 1), path))
    yield from sorted(found)


def delete_older_than(folder: Path, days: int, today: date) -> list[Path]:
    """Delete the log's files of days that are ``days`` or more before ``today``. Returns what was deleted."""
    first_kept = today - timedelta(days=days - 1)
    old = [path for day, _, path in files_in(folder) if day < first_kept and is_ours(path)]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def is_ours(path: Path) -> bool:
    """Whether the log wrote the file, or nobody has written anything to it. Reads, and never waits."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    return not start or _FIRST_LINE.match(start) is not None


class DayFile:
    """The file that lines are appended to, whole lines at a time, so that processes may share it.

    A file of that name that the log has not written is left as it is, and the next number is taken.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._day = date.min
        self._part = 1
        self.taken = 0
        """Whole lines that the disk took of those that were appended last."""

    def append(self, lines: bytes, today: date) -> bool:
        """Write ``lines`` at the end of today's file. Returns whether a new file was begun. Raises OSError.

        A torn line, which a full disk or a killed program has left at the end, gets an end of its own first.
        """
        self.taken = 0
        begun = self._descriptor < 0 or today != self._day
        if begun:
            self._part = max((part for day, part, _ in files_in(self._folder) if day == today), default=1)
            self._open(today)
        while (size := os.fstat(self._descriptor).st_size) >= self._max_bytes:
            self._part += 1
            self._open(today)
            begun = True
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._write(b"\n")
        self._write(lines)
        return begun

    def close(self) -> None:
        """Close the file; what was written is with the kernel."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # closed it is, whatever the disk has to say
                os.close(descriptor)

    def _write(self, data: bytes) -> None:
        view, end = memoryview(data), 0
        try:
            while end < len(view):
                end += os.write(self._descriptor, view[end:])
        finally:
            self.taken = data.count(b"\n", 0, end)

    def _open(self, today: date) -> None:
        self.close()
        while os.path.lexists(path := self._path(today)) and not is_ours(path):
            self._part += 1
        self._descriptor = open_private(path, os.O_RDWR | os.O_APPEND)
        self._day = today

    def _path(self, today: date) -> Path:
        part = "" if self._part == 1 else f".{self._part}"
        return self._folder / f"audit-{today.isoformat()}{part}.jsonl"
