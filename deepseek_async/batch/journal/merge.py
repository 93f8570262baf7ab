"""Merge of several outputs: the last line of each row, written atomically."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec
import orjson

from deepseek_async.batch.journal.disk import Disk, sync_folder, uninterrupted, write_whole
from deepseek_async.batch.journal.lock import OutputLock
from deepseek_async.batch.journal.ownership import refuse_foreign
from deepseek_async.batch.journal.reading import OutputLines, set_aside
from deepseek_async.batch.line_encoder import restated_line
from deepseek_async.batch.line_format import glance, text_of, with_facts
from deepseek_async.batch.output_line import OutputFacts, decode_line
from deepseek_async.batch.resume_index import GONE, UNKNOWN, ResumeIndex
from deepseek_async.batch.row_identity import key_of
from deepseek_async.batch.run_record import Manifest, ManifestWriter, decode_manifest, record_of
from deepseek_async.errors import ConfigurationError, InputChangedError, OutputWriteError

_BLOCK: Final = 1 << 20
_NO_LINE: Final = -1
_OFFSET_BITS: Final = 44
"""Bits of a place for the offset in a file of up to 16 TiB; the rest numbers a million files."""
_OFFSETS: Final = (1 << _OFFSET_BITS) - 1


class _Row(msgspec.Struct, frozen=True, gc=False):
    """The fields of a line that a merge needs."""

    name: bytes
    hashed: int
    """Request hash; 0 if unknown."""
    position: int
    restated: bool = False
    made_up: bool = False
    pending: bool = False
    """Whether the line ends no row and only records what was billed for one."""
    run: bytes = b""
    manifest: Manifest | None = None
    columns: bytes = b""
    """The row's columns, as JSON."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a merge."""

    rows: int
    """Rows of the merged file, one line each."""
    superseded: int
    """Lines superseded by a later line of the same row."""
    damaged: int
    """Damaged or incomplete lines; their rows run again."""


def merge(
    outputs: Sequence[Path],
    merged: Path,
    disk: Disk | None = None,
    *,
    in_order: bool = False,
    holds_lock: bool = False,
) -> Merged:
    """Write the last line of every row of ``outputs``, in their order, to ``merged``.

    ``in_order`` orders by the input of the latest run; rows it lacks come last. ``holds_lock`` means that the caller
    holds the lock of ``merged``.

    Makes two passes, with 70 to 102 bytes of memory a row. ``merged`` may be one of ``outputs``, whose damaged lines
    are then moved to a file beside it; any other existing file is an error. It is written atomically, by a rename.
    Raises ConfigurationError, OutputLockedError if a run writes one of the files, InputChangedError if two of them have
    different requests under one ``custom_id``, and OutputWriteError.
    """
    disk = disk or Disk()
    _check(outputs, merged)
    # The same file under another name, such as a link or the absolute path.
    merged = next((path for path in outputs if path.resolve() == merged.resolve()), merged)
    with ExitStack() as stack:
        for path in dict.fromkeys([*outputs, merged]):
            if not (holds_lock and path == merged):
                _take(path, disk, stack)
        survey = _Survey()
        for path in outputs:
            survey.read(path)
        if survey.damaged and merged in outputs:
            _keep_damaged(merged, disk)
        _write(outputs, merged, survey, disk, in_order=in_order)
    rows = len(survey.rows)
    return Merged(rows=rows, superseded=survey.lines - survey.pending - rows, damaged=survey.damaged)


def _keep_damaged(merged: Path, disk: Disk) -> None:
    lines = OutputLines(merged)
    for line in lines:
        if _row(line) is None:
            lines.blank_or_damaged(line)
    if lines.damaged:
        set_aside(merged, disk, lines.damaged)


def _take(path: Path, disk: Disk, stack: ExitStack) -> None:
    path = path.resolve()
    lock = OutputLock.take(path, disk)
    stack.callback(lock.close)
    try:
        descriptor = uninterrupted(disk.open, path, os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputWriteError(f"cannot read {path}: {error.strerror}", path=str(path)) from None
    stack.callback(disk.close, descriptor)
    lock.hold(descriptor, shared=True)
    stack.callback(disk.unlock, descriptor)


def _check(outputs: Sequence[Path], merged: Path) -> None:
    if not outputs:
        raise ConfigurationError("outputs is empty: name at least one output to merge")
    for path in outputs:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise ConfigurationError(f"the output {path} {what}")
    files = [path.resolve() for path in outputs]
    if twice := [path for path in files if files.count(path) > 1]:
        raise ConfigurationError(f"outputs must be different files, got {twice[0]} twice")
    if os.path.lexists(merged) and not merged.is_file():
        raise ConfigurationError(f"merged output must be a regular file, got {merged}")
    if os.path.lexists(merged) and merged.resolve() not in {path.resolve() for path in outputs}:
        raise ConfigurationError(f"{merged} exists: remove it, or name it among the outputs to merge")
    if merged in outputs:
        refuse_foreign(merged)
    if not merged.parent.is_dir():
        raise ConfigurationError(f"the directory of the merged output does not exist: {merged.parent}")


class _Survey:
    """Result of the first pass over the outputs."""

    def __init__(self) -> None:
        self.rows = ResumeIndex()
        self.lines = self.pending = self.damaged = 0
        self.last = array("Q")
        """By row: number of its last line, counted over all files."""
        self._positions = array("q")
        """By row: position, from its last line."""
        self._hashes = array("Q")
        self._made_up = bytearray()
        """By row: whether its answer is simulated. Such a line never replaces a real one."""
        self.renamed: dict[bytes, bytes] = {}
        """By row name: its columns, if a restated line updates them."""
        self._moved = False
        """Whether an output records moved rows: the merged one must then record all positions."""
        self.file = 0
        """Number of the current file."""
        self.places = array("Q")
        """By row: file and offset of its last line, see ``_place``."""
        self.pending_places = array("Q")
        self._run: bytes | None = None
        self._run_line = _NO_LINE
        self._runs = 0
        """Number of changes of run parameters within the outputs."""

    def read(self, path: Path) -> None:
        """Read an output. Raises InputChangedError if a row's request differs from that in an earlier file, and
        ConfigurationError if the file is not an output.
        """
        before, lines = len(self.rows), self.lines
        found = OutputLines(path)
        for line in found:
            row = _row(line)
            if row is None:
                found.blank_or_damaged(line)
                continue
            if row.pending:
                self.pending += 1
                self.lines += 1
                self.pending_places.append(_place(self.file, found.at))
                continue
            number = self._number(row)
            if number < before and row.hashed and self._hashes[number] not in (0, row.hashed):
                raise InputChangedError(
                    f"{path}: the request of row {row.name.decode()!r} differs from that in an earlier output, so "
                    "these are not parts of one job; nothing was written",
                    path=str(path),
                )
            self._keep(row, number, _place(self.file, found.at))
            self.lines += 1
        self.file += 1
        self.damaged += len(found.damaged)
        if found.damaged and self.lines == lines:
            raise ConfigurationError(f"{path} is not a batch output; nothing was written")

    def _number(self, row: _Row) -> int:
        key = key_of(row.name)
        if row.manifest is None:
            return self.rows.line(key, row.position)
        return self.rows.line_with(row.manifest, key, row.position, restated=row.restated)

    def _keep(self, row: _Row, number: int, place: int) -> None:
        new = number == len(self.last)
        if new:
            for column in (self.last, self._hashes, self._positions, self._made_up, self.places):
                column.append(0)
        if new or not (row.restated or self._made_up[number] < row.made_up):
            self._made_up[number] = row.made_up
            self.last[number], self._positions[number] = self.lines, row.position
            self.places[number] = place
            self._hashes[number] = row.hashed or self._hashes[number]
            self.renamed.pop(row.name, None)
        elif row.restated:
            self.renamed[row.name] = row.columns
        self._moved |= row.manifest is not None
        if row.run:
            self._runs += row.run != self._run
            self._run, self._run_line = row.run, self.lines

    def is_last(self, name: bytes, line: int) -> bool:
        """Whether it is the last line of that row."""
        number = self.rows.number(key_of(name))
        return number is not None and self.last[number] == line

    def in_order(self) -> Iterator[int]:
        """Yield the places of all kept lines: billing of unfinished rows, then rows by position."""
        positions = self.rows.positions
        yield from self.pending_places
        order = sorted(range(len(positions)), key=lambda number: (positions[number] < 0, positions[number]))
        for number in order:
            yield self.places[number]

    def record(self, outputs: Sequence[Path], *, in_order: bool) -> bytes:
        """Return the run record for the last line, if the kept lines do not have it, or not in the right order."""
        manifest, positions, run_is_kept = ManifestWriter(), self.rows.positions, self._run is None
        for line, (_, row) in enumerate(_rows(outputs)):
            number = self.rows.number(key_of(row.name))
            if row.pending or number is None or self.last[number] != line:
                continue
            run_is_kept = run_is_kept or line == self._run_line
            if positions[number] == GONE:
                manifest.gone(row.name.decode())
            elif self._moved or positions[number] != self._positions[number]:
                manifest.moved(row.name.decode(), positions[number])
        run_is_last = run_is_kept and not (in_order and self._runs > 1)
        return record_of(None if run_is_last else self._run, manifest.encoded())


def _write(outputs: Sequence[Path], merged: Path, survey: _Survey, disk: Disk, *, in_order: bool) -> None:
    temporary = merged.with_name(f"{merged.name}.{os.getpid()}.part")
    try:
        with suppress(FileNotFoundError):
            disk.remove(temporary)  # left by a killed merge: process ids repeat in containers
        descriptor = uninterrupted(disk.open, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            lines = _lines_in_order(outputs, survey) if in_order else _last_lines(outputs, survey)
            _copy(lines, survey.record(outputs, in_order=in_order), survey, disk, descriptor)
            uninterrupted(disk.sync, descriptor)
        finally:
            with suppress(OSError):
                disk.close(descriptor)
        uninterrupted(disk.rename, temporary, merged)
        sync_folder(disk, merged.parent)
    except OSError as error:
        raise OutputWriteError(
            f"cannot write {merged}: {error.strerror or error}; the outputs are unchanged",
            path=str(merged),
        ) from None
    finally:
        with suppress(OSError):
            disk.remove(temporary)


def _copy(lines: Iterator[tuple[bytes, _Row]], record: bytes, survey: _Survey, disk: Disk, descriptor: int) -> None:
    block, size, last = list[bytes](), 0, b""
    for line, row in lines:
        columns = None if row.pending else survey.renamed.get(row.name)
        if columns is not None and columns != row.columns:
            line = with_facts(line, {"columns": orjson.loads(columns) if columns else None})  # noqa: PLW2901
        block.append(line)
        size += len(line)
        last = last if row.pending else line
        if size >= _BLOCK:
            write_whole(lambda rest: disk.write(descriptor, rest), b"".join(block))
            block, size = [], 0
    if record and last:
        block.append(restated_line(last, record))
    write_whole(lambda rest: disk.write(descriptor, rest), b"".join(block))


def _last_lines(outputs: Sequence[Path], survey: _Survey) -> Iterator[tuple[bytes, _Row]]:
    for number, (line, row) in enumerate(_rows(outputs)):
        if row.pending or survey.is_last(row.name, number):
            yield line, row


def _lines_in_order(outputs: Sequence[Path], survey: _Survey) -> Iterator[tuple[bytes, _Row]]:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in outputs]
        for place in survey.in_order():
            file = files[place >> _OFFSET_BITS]
            file.seek(place & _OFFSETS)
            line = file.readline()
            if (row := _row(line)) is not None:
                yield _whole(line), row


def _place(file: int, offset: int) -> int:
    return file << _OFFSET_BITS | offset


def _whole(line: bytes) -> bytes:
    """Return the line as it stands in a journal."""
    return line if line.endswith(b"\n") and line[:1] == b"{" else text_of(line) + b"\n"


def _rows(outputs: Sequence[Path]) -> Iterator[tuple[bytes, _Row]]:
    for path in outputs:
        for line in OutputLines(path):
            row = _row(line)
            if row is not None:
                yield _whole(line), row


def _row(line: bytes) -> _Row | None:
    seen = glance(line)
    if seen is not None:
        return _Row(*seen)
    row = decode_line(text_of(line))
    if row is None:
        return None
    facts = row.facts or OutputFacts()
    position = UNKNOWN if facts.index is None else facts.index
    manifest = decode_manifest(facts.manifest) if bytes(facts.manifest) else None
    return _Row(
        name=row.custom_id.encode(),
        hashed=facts.hashed or 0,
        position=position,
        restated=row.restated,
        made_up=facts.simulated,
        pending=facts.pending,
        run=bytes(facts.run),
        manifest=manifest,
        columns=bytes(facts.columns),
    )
