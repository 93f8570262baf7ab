"""Files of the audit log: one or more per UTC day, deleted after the retention period."""

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
"""Prefix of every file's first line, which identifies it as a file of the log."""

_NAME: Final = re.compile(r"audit-(\d{4}-\d{2}-\d{2})(?:\.(\d+))?\.jsonl")


_BLOCK: Final = 256


def day_of(at: float) -> date:
    """Return the UTC day of a Unix time."""
    return datetime.fromtimestamp(at, UTC).date()


def files_in(folder: Path) -> Iterator[tuple[date, int, Path]]:
    """Yield the log's files, oldest first: day, part of the day, path."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is not None and not path.is_symlink() and path.is_file():
            with suppress(ValueError):  # no date in its name
                found.append((date.fromisoformat(match[1]), int(match[2] or 1), path))
    yield from sorted(found)


def delete_older_than(folder: Path, days: int, today: date) -> list[Path]:
    """Delete the log's files that are at least ``days`` days older than ``today``. Returns the deleted paths."""
    first_kept = today - timedelta(days=days - 1)
    old = [path for day, _, path in files_in(folder) if day < first_kept and is_ours(path)]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def is_ours(path: Path) -> bool:
    """Whether the log wrote the file, or the file is empty. Reads without blocking."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    return not start or _FIRST_LINE.match(start) is not None


class DayFile:
    """The current file; appends whole lines at a time, so that processes can share it.

    A file of that name that the log did not write is skipped: the next part number is used.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._day = date.min
        self._part = 1
        self.taken = 0
        """Whole lines of the last append that were written to disk."""

    def append(self, lines: bytes, today: date) -> bool:
        """Append ``lines`` to today's file. Returns whether a new file was started. Raises OSError.

        First terminates a torn line that a full disk or a killed program left at the end.
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
        """Close the file; written data is already in the kernel."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the descriptor is closed even if close() fails
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
