"""Output file of whole lines: truncated to the last line when opened, appended to in atomic groups.

A failed sync is never retried on the same descriptor: the kernel may have marked the pages clean, and the next
sync would falsely succeed (Rebello et al. 2020, "Can Applications Recover from fsync Failures?").
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from deepseek_async.batch.journal.disk import Disk, sync_folder, uninterrupted, write_whole
from deepseek_async.batch.journal.locked_file import LockedFile
from deepseek_async.batch.journal.reading import LONGEST_LINE
from deepseek_async.batch.line_format import text_of
from deepseek_async.batch.output_line import decode_line
from deepseek_async.errors import OutputLockedError, OutputWriteError

LOW_WATER: Final = 64 << 20
"""Default bytes of disk space to keep free: a completely full disk affects everything else on it."""

_SPACE_CHECK_SECONDS: Final = 60.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_TAIL_BLOCK: Final = 1 << 16


class Durability(StrEnum):
    """When a row counts as done."""

    OS = "os"
    """Written to the kernel: survives a crash of the process, not of the machine."""
    GROUP = "group"
    """Synced with up to 255 others; as fast as the API allows."""
    EACH = "each"
    """Synced alone: about 400 rows/s on a virtual disk."""


class DiskFullError(Exception):
    """No space for a group. The file is unchanged; the same group may be retried."""


class OutputFile(LockedFile):
    """An open output file. Not thread-safe."""

    def __init__(self, path: Path, disk: Disk, *, min_free: int) -> None:
        super().__init__(disk)
        self._path = path
        self._place = path.absolute()  # the program may change its working directory
        self._min_free = min_free
        self._space_seen = 0.0
        self.end = 0
        """Offset after the last whole line."""
        self.durable = 0
        """Offset after the last acknowledged line."""
        self.cut = 0
        """Bytes of an incomplete last line removed on opening."""

    def open(self, hold: Callable[[int], None]) -> None:
        """Open the file, lock it with ``hold``, and remove an incomplete last line left by a crash.

        A complete last line without a line feed, as an editor may leave, is kept. Raises OutputWriteError, also for
        insufficient disk space, and whatever ``hold`` raises.
        """
        disk = self._disk
        try:
            self._descriptor = uninterrupted(disk.open, self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            hold(self._descriptor)
            self._look_whether_it_is_there()  # a merge may have replaced it
            self.end = self.durable = self._end_of_last_line()
            self._end_a_whole_line()
            uninterrupted(disk.truncate, self._descriptor, self.end)
            uninterrupted(disk.sync, self._descriptor)
            sync_folder(disk, self._path.parent)
            free = uninterrupted(disk.free, self._descriptor)
        except OSError as error:
            self.close()
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise OutputWriteError(f"cannot open {self._path}: {reason}", path=str(self._path)) from None
        except OutputLockedError:
            self.close()
            raise
        if free < self._min_free:
            self.close()
            raise OutputWriteError(
                f"not enough space on the disk of {self._path}: {free >> 20:,} MiB free, min_free is "
                f"{self._min_free >> 20:,} MiB: free space, or lower the limit (min_free, --min-free)",
                path=str(self._path),
            )
        self._space_seen = time.monotonic()

    def append(self, data: bytes) -> None:
        """Append whole lines. Raises DiskFullError, or OSError, after which the file is unusable."""
        self._look_for_room()
        disk, descriptor = self._disk, self._descriptor
        try:
            try:
                write_whole(lambda rest: disk.write(descriptor, rest), data)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                # Whole lines or nothing. If the truncation fails, the file is unusable: a retry would append to a torn
                # line.
                uninterrupted(disk.truncate, descriptor, self.end)
                raise DiskFullError(os.strerror(error.errno)) from None
        except OSError:
            self._cut_back()
            raise
        self.end += len(data)

    def sync(self) -> None:
        """Make appended data durable. Raises OSError, after which the file is unusable."""
        try:
            uninterrupted(self._disk.sync_data, self._descriptor)
        except OSError:
            self._cut_back()
            raise
        self.durable = self.end
        self._look_whether_it_is_there()

    def leave_to_the_kernel(self) -> None:
        """Count appended data as durable without a sync. Raises OSError if the file was deleted or replaced."""
        self._look_whether_it_is_there()
        self.durable = self.end

    def _look_whether_it_is_there(self) -> None:
        """Raise FileNotFoundError if the file was deleted or moved; writes to its descriptor would still succeed."""
        written = uninterrupted(self._disk.status, self._descriptor)
        if not written.st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was deleted while the job was running")
        try:
            there = uninterrupted(self._disk.status_of, self._place)
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is None or (there.st_dev, there.st_ino) != (written.st_dev, written.st_ino):
            raise FileNotFoundError(errno.ENOENT, "it was moved or replaced while the job was running")

    def _cut_back(self) -> None:
        """Truncate to the acknowledged data, so that readers see no more than that."""
        with suppress(OSError):
            uninterrupted(self._disk.truncate, self._descriptor, self.durable)

    def read(self, offset: int, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end of the file. Raises OSError."""
        data = b""
        # A read may be short; missing bytes here would be removed as an incomplete line.
        while len(data) < size:
            more = uninterrupted(self._disk.read_at, self._descriptor, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def _look_for_room(self) -> None:
        now = time.monotonic()
        if now - self._space_seen < _SPACE_CHECK_SECONDS:
            return
        try:
            free = uninterrupted(self._disk.free, self._descriptor)
        except OSError:
            return  # the write will report it
        if free < self._min_free:
            raise DiskFullError(f"{free >> 20:,} MiB free, min_free is {self._min_free >> 20:,} MiB")
        self._space_seen = now

    def _end_a_whole_line(self) -> None:
        """Append the missing line feed to a complete last line."""
        size = uninterrupted(self._disk.status, self._descriptor).st_size
        if size == self.end:
            return
        rest = size - self.end
        if rest > LONGEST_LINE or decode_line(text_of(self.read(self.end, rest))) is None:
            self.cut = size - self.end
        else:
            write_whole(lambda rest: self._disk.write(self._descriptor, rest), b"\n")
            self.end = self.durable = size + 1

    def _end_of_last_line(self) -> int:
        end = uninterrupted(self._disk.status, self._descriptor).st_size
        while end > 0:
            start = max(0, end - _TAIL_BLOCK)
            found = self.read(start, end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0
