"""The lines of an output, and what is done about damaged ones."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from deepseek_async.batch.journal.disk import Disk, uninterrupted, write_whole
from deepseek_async.batch.line import decode_line, text_of
from deepseek_async.errors import OutputWriteError
from deepseek_async.files.bounded_lines import LongLine, lines_of

_LOG: Final = logging.getLogger("deepseek_async")

LONGEST_LINE: Final = 1 << 28
"""Bytes: as many as the longest answer that is taken (``codec.limits``). A failed disk may have left a longer one."""
_BLOCK: Final = 1 << 20
_SHORTEST: Final = 200
"""Bytes of a line with an answer: a guess from a line that holds only an error is not too far off."""


class OutputLines:
    """Reads a file of output lines once; of several lines for one row, the last one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self.damaged: list[tuple[int, int]] = []
        """Offset and length of each line that cannot be what was written."""

    def __iter__(self) -> Iterator[bytes]:
        """Each line with its line feed, but for those that are too long to be one of ours, which count as damaged.

        Raises OutputWriteError when the file cannot be read.
        """
        try:
            # Past the seam: a failing read ends the run before anything is sent.
            with self.path.open("rb", buffering=_BLOCK) as file:
                for line in lines_of(file, LONGEST_LINE):
                    if isinstance(line, LongLine):
                        if line.ended:
                            self.damaged.append((self._at, line.size))
                        self._at += line.size
                        continue
                    yield line
                    self._at += len(line)
        except OSError as error:
            raise OutputWriteError(f"cannot read {self.path}: {error.strerror}", path=str(self.path)) from None

    def expected(self) -> int:
        """About how many lines there are, by the length of the first one."""
        try:
            with self.path.open("rb") as file:
                return self.path.stat().st_size // max(_SHORTEST, len(file.readline(_BLOCK)))
        except OSError:
            return 0  # reading it will tell

    @property
    def at(self) -> int:
        """Offset of the line that was handed out last."""
        return self._at

    def blank_or_damaged(self, line: bytes) -> None:
        """Note a line that names no row."""
        if text_of(line).strip():
            self.damaged.append((self._at, len(line)))


def set_aside(path: Path, disk: Disk, damaged: list[tuple[int, int]]) -> Path:
    """Move damaged lines to a new file beside it; blanks take their place, so that every reader can go on.

    First the copy is made durable, then the line is blanked. Returns the new file. Raises OutputWriteError.
    """
    side = path.with_name(path.name + ".damaged")
    try:
        # Without O_APPEND, with which Linux would write at the end wherever it was told to.
        source = uninterrupted(disk.open, path, os.O_RDWR)
        try:
            side, target = _new_file(side, disk)
            try:
                for offset, length in damaged:
                    for start in range(offset, offset + length, _BLOCK):
                        size = min(_BLOCK, offset + length - start)
                        write_whole(
                            lambda rest: disk.write(target, rest),
                            uninterrupted(disk.read_at, source, size, start),
                        )
                uninterrupted(disk.sync, target)
            finally:
                with suppress(OSError):
                    disk.close(target)
            for offset, length in damaged:
                _blank(disk, source, offset, length - 1)
            uninterrupted(disk.sync, source)
        finally:
            with suppress(OSError):
                disk.close(source)
    except OSError as error:
        raise OutputWriteError(
            f"cannot set damaged lines of {path} aside in {side}: {error.strerror}",
            path=str(path),
        ) from None
    _LOG.warning("%d damaged lines of %s were moved to %s", len(damaged), path, side)
    return side


def _new_file(path: Path, disk: Disk) -> tuple[Path, int]:
    """The first file of that name and a number that is not there yet: what is there may be somebody else's."""
    for number in count(2):
        try:
            return path, uninterrupted(disk.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            path = path.with_name(f"{path.name.removesuffix(f'.{number - 1}')}.{number}")
    raise AssertionError  # there are more numbers than files


def _blank(disk: Disk, descriptor: int, offset: int, length: int) -> None:
    while length > 0:
        size = min(_BLOCK, length)
        done = uninterrupted(disk.write_at, descriptor, memoryview(b" " * size), offset)
        if done <= 0:
            raise OSError(0, "the disk takes no more bytes and does not say why")
        offset, length = offset + done, length - done


def names_in(lines: list[bytes]) -> list[str]:
    """The rows of lines that did not reach the disk."""
    rows = (decode_line(line.rstrip(b"\n")) for line in lines)
    return [row.custom_id for row in rows if row is not None and not row.pending]
