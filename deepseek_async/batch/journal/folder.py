"""Shared folder of journals, one per process: an index of rows already answered.

A row is identified by its request and its id, if any, so equal requests are one row unless their ids differ:
where rows are handed out more than once, nothing else distinguishes a repetition from a second row.
"""

from __future__ import annotations

import os
import secrets
import socket
from array import array
from pathlib import Path
from typing import Final

from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.journal.reading import LONGEST_LINE
from deepseek_async.batch.journal.writer import Written
from deepseek_async.batch.line_format import glance, text_of
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.review.running_job import writer_of
from deepseek_async.batch.row_identity import key_of
from deepseek_async.batch.simulated import Server
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.bounded_lines import LongLine, lines_of

_WORD: Final = (1 << 64) - 1
_SPREAD: Final = 0x9E3779B97F4A7C15
_OFFSET_BITS: Final = 44
_OFFSETS: Final = (1 << _OFFSET_BITS) - 1


def row_key(name: bytes, hashed: int) -> int:
    """Return a 64-bit hash, never 0, of a row's name and request, stable in this process only."""
    return (key_of(name) * _SPREAD + hashed) & _WORD or 1


class JournaledRow:
    """Rows of journals: key, file and offset of each."""

    def __init__(self) -> None:
        self.keys = array("Q")
        self.places = array("Q")


class JournalFolder:
    """Index of a folder, 22 to 54 bytes a row. Raises ConfigurationError for an unusable folder."""

    def __init__(self, folder: Path, server: Server, *, redo_failed: bool = False) -> None:
        """``redo_failed`` ignores rows that ended with an error. Simulated answers are ignored by real runs."""
        self._server = server
        self._redo_failed = redo_failed
        self._places = DigestMap()
        self._folder = folder
        self._files: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._read_to: list[int] = []
        """By file: offset up to which it is indexed."""
        self._open: dict[int, int] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from None
        self.own: Final = folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        """This process's journal."""
        self._own = self._number(self.own)
        self.put(self.found(at_first=True))

    def __len__(self) -> int:
        return len(self._places)

    def line(self, key: int) -> bytes | None:
        """Return the line of the row, or None if no journal has it. Raises OSError."""
        place = self._places.get(key)
        if place is None:
            return None
        number, offset = place >> _OFFSET_BITS, place & _OFFSETS
        if number not in self._open:
            self._open[number] = os.open(self._files[number], os.O_RDONLY | os.O_CLOEXEC)
        size, line = 1 << 13, b""
        while b"\n" not in line and size <= 2 * LONGEST_LINE:
            line = os.pread(self._open[number], size, offset)
            if len(line) < size:
                break
            size *= 4
        return line.partition(b"\n")[0]

    def written(self, group: Written) -> None:
        """Index durable lines of this process; the mark of each is the row's key, or None if it ends no row."""
        offset, own = group.offset, self._own << _OFFSET_BITS
        for key, line in zip(group.marks, group.lines, strict=True):
            if key is not None:
                self._places.put(key, own | offset)
            offset += len(line)

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def found(self, *, at_first: bool = False) -> JournaledRow:
        """Scan journals whose writer has exited, or all of them if ``at_first``; may run in a thread.

        A live writer returns its own answers, and its rows are handed to no other process meanwhile.
        """
        found = JournaledRow()
        try:
            paths = sorted(path for path in self._folder.iterdir() if path.suffix == ".jsonl")
            for path in paths:
                number = self._number(path)
                grown = number != self._own and path.stat().st_size > self._read_to[number]
                if grown and (at_first or writer_of(path) is None):
                    self._read(path, number, found)
        except OSError as error:
            raise _unusable(self._folder, error) from None
        return found

    def put(self, found: JournaledRow) -> None:
        """Add found rows to the index."""
        for key, place in zip(found.keys, found.places, strict=True):
            self._places.put(key, place)

    def _number(self, path: Path) -> int:
        number = self._numbers.setdefault(path, len(self._files))
        if number == len(self._files):
            self._files.append(path)
            self._read_to.append(0)
        return number

    def _read(self, path: Path, number: int, found: JournaledRow) -> None:
        """Skip damaged and incomplete lines: their rows are sent again."""
        offset, file_bits = self._read_to[number], number << _OFFSET_BITS
        with path.open("rb") as file:
            file.seek(offset)
            for line in lines_of(file, LONGEST_LINE):
                if isinstance(line, LongLine):
                    offset += line.size
                    continue
                if not line.endswith(b"\n"):
                    break  # it may still be written
                key = self._key_in(line)
                if key is not None:
                    found.keys.append(key)
                    found.places.append(file_bits | offset)
                offset += len(line)
        self._read_to[number] = offset

    def _key_in(self, line: bytes) -> int | None:
        """Return the key of the row that a line ends, or None if it ends none for this run."""
        seen = glance(line)
        if seen is not None:
            return row_key(seen[0], seen[1])
        row = decode_line(text_of(line))
        facts = None if row is None else row.facts
        if row is None or facts is None or row.pending or not self._server.takes(facts):
            return None
        if row.failed and self._redo_failed:
            return None
        return row_key(row.custom_id.encode(), facts.hashed or 0)


def _unusable(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot use the journal directory {folder}: {error.strerror}")
