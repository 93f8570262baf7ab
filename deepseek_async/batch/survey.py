"""What is to be done: one pass over the output, one over the input, before anything is sent or paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from deepseek_async.batch.digests import DigestMap, DigestSet, Occurrences
from deepseek_async.batch.identity import Shard, is_unnamed, key_of, request_hash, unnamed, unnamed_key
from deepseek_async.batch.journal.reading import OutputLines
from deepseek_async.batch.line import HASH, decode_line, glance
from deepseek_async.batch.redo import End, Redo, asks_for_json
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.source import Fingerprint, read_ids, read_rows
from deepseek_async.call.lifecycle import Call
from deepseek_async.errors import DeepSeekError, InputChangedError, InputFormatError

_END_BITS: Final = 7
_MET: Final = 8
_HASH_BITS: Final = (1 << 64) - 1 ^ (_END_BITS | _MET)
_REPEATED: Final = -1
_FAILED: Final = frozenset({End.FAILED, End.ERROR})
_LOOK_EVERY: Final = 4096


class SurveyStoppedError(Exception):
    """The job was stopped before it began."""


class Finished:
    """The rows that earlier runs have finished: of each its name, its request's hash and how it ended, as 16 bytes."""

    def __init__(self, redo: Redo) -> None:
        self._redo = redo
        self._rows = DigestMap()
        self.spent = 0.0
        """US dollars of all lines, also of those that later ones supersede."""
        self.unnamed_answers = 0
        """Answered rows without an id of their own, which can be found only if the input still asks the same."""
        self.places = DigestMap()
        """Behind which byte of the output an answer to a request of that hash begins, if ``read`` was to note it."""

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, lines: OutputLines, *, places: bool, spent: bool, stopped: Callable[[], bool]) -> None:
        """Take in every line. Of several lines for one row the last one counts."""
        quickly = not (self._redo or spent)
        self._rows = DigestMap(lines.expected())
        put = self._rows.put
        for number, line in enumerate(lines):
            if number % _LOOK_EVERY == 0 and stopped():
                raise SurveyStoppedError
            seen = glance(line) if quickly else None
            if seen is not None:
                name, hashed = seen
                if name[20:21] != b"-":
                    put(key_of(name), hashed & _HASH_BITS)  # no name that we gave
                elif name == b"row-%b-0" % line[HASH]:
                    before = put(unnamed_key(hashed, 0), hashed & _HASH_BITS)
                    self.unnamed_answers += before is None or before & _END_BITS in _FAILED
                else:
                    self._add(name, hashed, End.ANSWERED)
                if places:
                    self.places.put(hashed, lines.at + 1)
            else:
                self._add_slowly(lines, line, places=places)

    def _add_slowly(self, lines: OutputLines, line: bytes, *, places: bool) -> None:
        text = line.rstrip(b"\r\n")
        row = decode_line(text)
        if row is None:
            lines.blank_or_damaged(line)
            return
        facts = row.facts
        # A line of another program says nothing of the request; 0 is taken for any.
        hashed = (facts.hashed if facts is not None else None) or 0
        self.spent += (facts.cost if facts is not None else None) or 0.0
        self._add(row.custom_id.encode(), hashed, self._redo.end_of(row, text))
        if places and hashed and facts is not None and not facts.set:
            self.places.put(hashed, lines.at + 1)

    def _add(self, name: bytes, hashed: int, end: int) -> None:
        before = self._rows.put(key_of(name), hashed & _HASH_BITS | end)
        if is_unnamed(name):
            self.unnamed_answers += (end not in _FAILED) - (before is not None and before & _END_BITS not in _FAILED)

    def end(self, key: int, hashed: int) -> int | None:
        """How the row of that key ended; None if it has not, CHANGED if it then asked for something else."""
        found = self._rows.get(key)
        return None if found is None else _end_in(found, hashed)

    def end_once(self, key: int, hashed: int) -> int | None:
        """As ``end``; but when asked for the same key again, _REPEATED."""
        found = self._rows.mark(key, _MET)
        if found is None:
            return None
        return _REPEATED if found & _MET else _end_in(found, hashed)


def _end_in(found: int, hashed: int) -> int:
    end = found & _END_BITS
    if end < End.LENGTH and (found ^ hashed) & _HASH_BITS and found & _HASH_BITS:
        return End.CHANGED
    return end


class Due(msgspec.Struct, gc=False):
    """A row that is to be run, with its name in the output."""

    row: Row
    custom_id: str
    hashed: int
    redo: int | None = None
    """Why it is run again, if it has an end already."""
    place: int | None = None
    """Where in the output the answer to an equal row is, if this one need not be sent."""
    call: Call | DeepSeekError | None = None
    """What it takes to have it answered, or why that cannot be, once that is known."""


class _Findings:
    """What a comparison keeps in mind from row to row."""

    def __init__(self, expected: int) -> None:
        self._occurrences = Occurrences(expected)
        self._unfinished = DigestSet()
        self.repeated: Row | None = None
        self.repetitions = 0
        self.changed: Row | None = None
        self.changes = 0
        self.unnamed = 0
        """Rows without an id of their own that have an answer."""

    def occurrence(self, hashed: int) -> int:
        """How many rows before this one ask the same and have no id."""
        return self._occurrences.next(hashed)

    def is_new(self, key: int) -> bool:
        """Whether no earlier row without an end has the same id."""
        return self._unfinished.add(key)

    def repeats(self, row: Row) -> None:
        """Note a row whose id an earlier one has."""
        self.repeated = self.repeated or row
        self.repetitions += 1


class Survey:
    """Which rows of an input are to be run. ``look`` once, then ``rows``."""

    def __init__(self, source: Path, defaults: Defaults, *, redo: Redo, shard: Shard | None) -> None:
        self._source = source
        self._defaults = defaults
        self._redo = redo
        self._shard = shard
        self._wanted: bytearray | None = None
        self._fingerprint = Fingerprint.of(source)
        self.finished = Finished(redo)
        self.total = 0
        """Rows of this run's share of the input, finished ones included."""
        self._unnamed = 0
        """Rows of the input without an id of their own."""
        self.resumed = 0
        self.resumed_failed = 0
        self.left = 0
        """Rows without an end that this run leaves alone, because it only repeats others."""

    def look(self, stopped: Callable[[], bool]) -> None:
        """Go once over the input. Raises InputFormatError or InputChangedError for what must not be paid for."""
        if self.finished or self._shard is not None or self._redo:
            self._compare(stopped)
        else:
            self._count(stopped)
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise InputChangedError if somebody has written to the input since it was first looked at."""
        difference = self._fingerprint.difference(self._source)
        if difference is not None:
            raise InputChangedError(
                f"the input {self._source} changed while it was read: {difference}. Wait until it is complete, and run "
                "the same command again",
                path=str(self._source),
            )

    def rows(self) -> Iterator[Due]:
        """The rows that are to be run."""
        occurrences = Occurrences(self._unnamed)
        trivial = self._wanted is None
        for row in read_rows(self._source, self._defaults, self._wanted):
            if trivial and row.index >= self.total:
                break  # it came later, and nobody has looked whether its name is free
            hashed = request_hash(row)
            if row.custom_id is not None:
                redo = None if trivial else self._end(key_of(row.custom_id.encode()), hashed, row)
                yield Due(row, row.custom_id, hashed, redo)
                continue
            custom_id = unnamed(hashed, occurrences.next(hashed))
            # Equal rows are as good as each other: this one takes the next name that is free.
            while not (trivial or self._is_due(custom_id.encode(), hashed, row)):
                custom_id = unnamed(hashed, occurrences.next(hashed))
            yield Due(row, custom_id, hashed, None if trivial else self._end(key_of(custom_id.encode()), hashed, row))

    def _count(self, stopped: Callable[[], bool]) -> None:
        """Count the rows of an input of which nothing is done yet. Raises InputFormatError if two have the same id."""
        named = DigestSet()
        first: Row | None = None
        total = repeated = unnamed_rows = 0
        for line, custom_id in read_ids(self._source, self._defaults):
            if total % _LOOK_EVERY == 0 and stopped():
                raise SurveyStoppedError
            total += 1
            if custom_id is None:
                unnamed_rows += 1
            elif not named.add(key_of(custom_id.encode())):
                first = first or Row(0, line, custom_id)
                repeated += 1
        if first is not None:
            raise _repeated(self._source, self._defaults, first, repeated)
        self.total, self._unnamed = total, unnamed_rows

    def _compare(self, stopped: Callable[[], bool]) -> None:
        """Hold every row against what is finished."""
        wanted = self._wanted = bytearray()
        found = _Findings(len(self.finished))
        for row in read_rows(self._source, self._defaults):
            if row.index % _LOOK_EVERY == 0 and stopped():
                raise SurveyStoppedError
            wanted.append(self._judge(row, found))
        if found.repeated is not None:
            raise _repeated(self._source, self._defaults, found.repeated, found.repetitions)
        if found.changed is not None:
            raise self._changed(found.changed, found.changes)
        lost = self.finished.unnamed_answers - found.unnamed
        if lost > 0 and any(wanted) and End.CHANGED not in self._redo.kinds:
            raise self._lost(lost)

    def _judge(self, row: Row, found: _Findings) -> bool:
        """Whether the row is to be run."""
        hashed = request_hash(row)
        if row.custom_id is None:
            self._unnamed += 1
            occurrence = found.occurrence(hashed)
            key = unnamed_key(hashed, occurrence)
            end = _as_asked(self.finished.end(key, hashed), row)
            found.unnamed += end is not None and end not in _FAILED
        else:
            key = key_of(row.custom_id.encode())
            end = _as_asked(self.finished.end_once(key, hashed), row)
            if end == _REPEATED or (end is None and not found.is_new(key)):
                found.repeats(row)
                return False
        if self._shard is not None:
            name = row.custom_id or unnamed(hashed, occurrence)
            if not self._shard.has(name.encode()):
                return False
        self.total += 1
        if end == End.ANSWERED:
            self.resumed += 1  # first, because of a million rows all but a few are
            return False
        if self._due(end):
            return True
        if end is None:
            self.left += 1
        elif end == End.CHANGED:
            found.changed = found.changed or row
            found.changes += 1
        else:
            self.resumed += 1
            self.resumed_failed += end == End.FAILED
        return False

    def _end(self, key: int, hashed: int, row: Row) -> int | None:
        return _as_asked(self.finished.end(key, hashed), row)

    def _due(self, end: int | None) -> bool:
        if end is None:
            return not self._redo
        return end in self._redo.kinds

    def _is_due(self, name: bytes, hashed: int, row: Row) -> bool:
        if self._shard is not None and not self._shard.has(name):
            return False
        return self._due(self._end(key_of(name), hashed, row))

    def _changed(self, row: Row, number: int) -> InputChangedError:
        more = f"; so do {number - 1:,} further rows" if number > 1 else ""
        return InputChangedError(
            f"{self._source}, line {row.line}: row {row.custom_id!r} asks for something else than when it was answered"
            f"{more}. Either the line or the parameters of the command changed. Nothing was sent: undo the change, "
            "write to another output, or run changed rows again (redo='changed', --redo changed)",
            path=str(self._source),
            line=row.line,
        )

    def _lost(self, number: int) -> InputChangedError:
        return InputChangedError(
            f"the output has answers to {number:,} rows that {self._source} does not ask for any more. Either the "
            "lines or the parameters of the command changed, and rows without a custom_id are known by what they "
            "ask. Nothing was sent: undo the change, write to another output, or run what changed (redo='changed', "
            "--redo changed)",
            path=str(self._source),
        )


def _as_asked(end: int | None, row: Row) -> int | None:
    return End.ANSWERED if end == End.INVALID_JSON and not asks_for_json(row) else end


def _repeated(source: Path, defaults: Defaults, row: Row, number: int) -> InputFormatError:
    # Read again, because to remember the line of every id takes memory.
    lines = (line for line, custom_id in read_ids(source, defaults) if custom_id == row.custom_id)
    more = f", and {number - 1:,} further rows repeat an id" if number > 1 else ""
    return InputFormatError(
        f"{source}, line {row.line}: custom_id {row.custom_id!r} is already that of line {next(lines, 0)}{more}. "
        "Nothing was sent: each row needs an id of its own, or none",
        path=str(source),
        line=row.line,
    )
