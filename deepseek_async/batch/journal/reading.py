"""Output reader, and recovery from damaged lines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from deepseek_async.batch.journal.disk import Disk, uninterrupted, write_whole
from deepseek_async.batch.line_format import text_of
from deepseek_async.batch.output_line import decode_line
from deepseek_async.errors import OutputWriteError
from deepseek_async.files.bounded_lines import LongLine, lines_of

_LOG: Final = logging.getLogger("deepseek_async")

LONGEST_LINE: Final = 1 << 28
"""Bytes; as many as the longest accepted answer (``codec.limits``). A disk failure may have left a longer line."""
_BLOCK: Final = 1 << 20
_SHORTEST: Final = 200
"""Bytes of a line with an answer; keeps the estimate from a line that holds only an error within bounds."""


class OutputLines:
    """Reads the lines of an output file once; of several lines for one row, the last one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self.damaged: list[tuple[int, int]] = []
        """Offset and length of each damaged line."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line with its line feed, except overlong ones, which count as damaged.

        Raises OutputWriteError if the file cannot be read.
        """
        try:
            # Not through Disk: a failed read ends the run before anything is sent.
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
        """Estimate the number of lines from the length of the first one."""
        try:
            with self.path.open("rb") as file:
                return self.path.stat().st_size // max(_SHORTEST, len(file.readline(_BLOCK)))
        except OSError:
            return 0  # reading it will raise

    @property
    def at(self) -> int:
        """Offset of the last line returned."""
        return self._at

    def blank_or_damaged(self, line: bytes) -> None:
        """Record a line without a row name."""
        if text_of(line).strip():
            self.damaged.append((self._at, len(line)))


def set_aside(path: Path, disk: Disk, damaged: list[tuple[int, int]]) -> Path:
    """Move damaged lines to a new file beside the output, and blank them so that readers can continue.

    The copy is made durable before the line is blanked. Returns the new file. Raises OutputWriteError.
    """
    side = path.with_name(path.name + ".damaged")
    try:
        # Without O_APPEND, with which Linux appends to the end whatever the offset.
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
            f"cannot move damaged lines of {path} to {side}: {error.strerror}",
            path=str(path),
        ) from None
    _LOG.warning("moved %d damaged lines of %s to %s", len(damaged), path, side)
    return side


def _new_file(path: Path, disk: Disk) -> tuple[Path, int]:
    """Create the first numbered file that does not exist; an existing one may be foreign."""
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
            raise OSError(0, "write returned 0 bytes without an error")
        offset, length = offset + done, length - done


def names_in(lines: list[bytes]) -> list[str]:
    """Return the rows of lines that did not reach the disk."""
    rows = (decode_line(line.rstrip(b"\n")) for line in lines)
    return [row.custom_id for row in rows if row is not None and not row.pending]
