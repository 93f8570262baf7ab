"""Resume plan: pending rows, from one pass over the output and one over the input before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from deepseek_async.batch.cells import as_json
from deepseek_async.batch.completed_rows import REPEATED, CompletedRows, SurveyStoppedError
from deepseek_async.batch.digests import DigestSet, Occurrences
from deepseek_async.batch.redo import End, Redo, asks_for_json
from deepseek_async.batch.resume_index import GONE
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.row_identity import Shard, is_unnamed, key_of, request_hash, unnamed, unnamed_key
from deepseek_async.batch.row_origin import RowOrigin
from deepseek_async.batch.run_record import ManifestWriter, defaults_of, differences, how_it_asks
from deepseek_async.batch.simulated import Server
from deepseek_async.call.caller import Call
from deepseek_async.errors import ConfigurationError, DeepSeekError, InputChangedError, InputFormatError
from deepseek_async.text.number_format import counted


class PendingRow(msgspec.Struct, gc=False):
    """A row to run, with its name in the output."""

    row: Row
    custom_id: str
    hashed: int
    redo: int | None = None
    """Why the row runs again, if it has a result already."""
    place: int | None = None
    """Offset of an equal row's answer in the output, if this row need not be sent."""
    call: Call | DeepSeekError | None = None
    """The prepared call, or the error that prevents it, once known."""


class _Findings:
    """State of the comparison between input and output."""

    def __init__(self, expected: int) -> None:
        self._occurrences = Occurrences(expected)
        self._unfinished = DigestSet()
        self.repeated: Row | None = None
        self.repetitions = 0
        self.given: Row | None = None
        """The first row whose id has the form of a generated name."""
        self.changed: Row | None = None
        self.changes = 0

    def occurrence(self, hashed: int) -> int:
        """Return the number of earlier rows with the same request and no id."""
        return self._occurrences.next(hashed)

    def is_new(self, key: int) -> bool:
        """Whether no earlier pending row has the same id."""
        return self._unfinished.add(key)

    def repeats(self, row: Row) -> None:
        """Record a row with a duplicate id."""
        self.repeated = self.repeated or row
        self.repetitions += 1


class ResumePlan:
    """The rows of an input that must run. Call ``look`` once, then ``rows``."""

    def __init__(
        self, source: RowOrigin, defaults: Defaults, *, redo: Redo, shard: Shard | None, server: Server
    ) -> None:
        self._source = source
        self._defaults = defaults
        self._redo = redo
        self._shard = shard
        self._wanted: bytearray | None = None
        self._difference = source.watch()
        self.finished = CompletedRows(redo, server, columns=source.may_rename)
        self.total = 0
        """Rows of this run's shard, including finished ones."""
        self._unnamed = 0
        """Rows of the input without an id."""
        self.resumed = 0
        self.resumed_failed = 0
        self.left = 0
        """Rows without a result that this run excludes, because it only redoes others."""
        self.skipped = 0
        """Rows without a result that are skipped because of an empty cell."""
        self.renamed: list[PendingRow] = []
        """Finished rows whose line has outdated columns, with its offset; nothing is sent for them."""
        self._manifest = ManifestWriter()
        self.how_it_asks = how_it_asks(defaults)
        """Parameters of this run as JSON; None if equal to those of earlier runs."""

    def look(self, stopped: Callable[[], bool]) -> None:
        """Scan the input once. Raises InputFormatError or InputChangedError before anything is paid for."""
        if self.finished or self._shard is not None or self._redo or self._defaults.empty == "skip":
            self._compare(stopped)
        else:
            self._count(stopped)
        self.check_unchanged()
        if self.how_it_asks == self.finished.run:
            self.how_it_asks = None

    @property
    def made_up(self) -> int:
        """Answered rows that run because their answer is simulated."""
        return self.finished.made_up if not self._redo else 0

    @property
    def not_asked(self) -> int:
        """Rows of the output that this input does not contain."""
        return len(self.finished) - self.finished.met

    def manifest(self) -> bytes | None:
        """Positions of earlier rows as JSON; None if unchanged."""
        for name in self.finished.not_asked():
            self._manifest.gone(name)
        return self._manifest.encoded()

    def check_unchanged(self) -> None:
        """Raise InputChangedError if the input was written to since it was first read."""
        difference = self._difference()
        if difference is not None:
            raise InputChangedError(
                f"the input {self._source} changed while being read: {difference}. Wait until it is complete, and run "
                "the same command again",
                path=str(self._source),
            )

    def rows(self) -> Iterator[PendingRow]:
        """Yield the rows to run."""
        occurrences = Occurrences(self._unnamed)
        trivial = self._wanted is None
        for row in self._source.rows(self._defaults, self._wanted):
            if trivial and row.index >= self.total:
                break  # appended since; its name was not checked for duplicates
            hashed = request_hash(row)
            if row.custom_id is not None:
                redo = None if trivial else self._end(key_of(row.custom_id.encode()), hashed, row)
                yield PendingRow(row, row.custom_id, hashed, redo)
                continue
            custom_id = unnamed(hashed, occurrences.next(hashed))
            # Equal rows are interchangeable: this one takes the next free name.
            while not (trivial or self._is_due(custom_id.encode(), hashed, row)):
                custom_id = unnamed(hashed, occurrences.next(hashed))
            yield PendingRow(
                row, custom_id, hashed, None if trivial else self._end(key_of(custom_id.encode()), hashed, row)
            )

    def _count(self, stopped: Callable[[], bool]) -> None:
        """Count the rows of an input without an output. Raises InputFormatError for duplicate ids."""
        named = DigestSet()
        first: Row | None = None
        total = repeated = unnamed_rows = 0
        given: Row | None = None
        for line, custom_id in self._source.ids(self._defaults):
            if total % self._source.look_every == 0 and stopped():
                raise SurveyStoppedError
            total += 1
            if custom_id is None:
                unnamed_rows += 1
                continue
            if custom_id[20:21] == "-" and is_unnamed(custom_id.encode()):
                given = given or Row(0, line, custom_id)
            if not named.add(key_of(custom_id.encode())):
                first = first or Row(0, line, custom_id)
                repeated += 1
        if given is not None and unnamed_rows:
            raise _ambiguous(self._source, given)
        if first is not None:
            raise _repeated(self._source, self._defaults, first, repeated)
        self.total, self._unnamed = total, unnamed_rows

    def _compare(self, stopped: Callable[[], bool]) -> None:
        """Compare every row with the finished ones."""
        wanted = self._wanted = bytearray()
        found = _Findings(len(self.finished))
        for row in self._source.rows(self._defaults):
            if row.index % self._source.look_every == 0 and stopped():
                raise SurveyStoppedError
            wanted.append(self._judge(row, found))
        if found.given is not None and self._unnamed:
            raise _ambiguous(self._source, found.given)
        if found.repeated is not None:
            raise _repeated(self._source, self._defaults, found.repeated, found.repetitions)
        if found.changed is not None:
            raise self._changed(found.changed, found.changes)
        if self.not_asked and any(wanted) and End.CHANGED not in self._redo.kinds:
            self._check_how_it_asks()

    def _judge(self, row: Row, found: _Findings) -> bool:
        """Whether the row must run."""
        hashed = request_hash(row)
        if row.custom_id is None:
            self._unnamed += 1
            occurrence = found.occurrence(hashed)
            key = unnamed_key(hashed, occurrence)
        else:
            key, occurrence = key_of(row.custom_id.encode()), 0
            if row.custom_id[20:21] == "-" and is_unnamed(row.custom_id.encode()):
                found.given = found.given or row
        end = self._meet(key, hashed, occurrence, row)
        if row.custom_id is not None and (end == REPEATED or (end is None and not found.is_new(key))):
            found.repeats(row)
            return False
        if self._shard is not None and not self._shard.has(_name(row, hashed, occurrence).encode()):
            return False
        self.total += 1
        if self._source.may_rename and end is not None and not self._due(end):
            self._compare_columns(row, key, _name(row, hashed, occurrence), hashed)
        if row.error is not None and self._defaults.leaves_out(row.error):
            self.skipped += 1
            return False
        if end == End.ANSWERED:
            self.resumed += 1  # first: nearly all of a million rows are
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

    def _compare_columns(self, row: Row, key: int, custom_id: str, hashed: int) -> None:
        place = self.finished.place_under_other_columns(key, as_json(row.columns))
        if place is not None:
            self.renamed.append(PendingRow(row, custom_id, hashed, place=place))

    def _meet(self, key: int, hashed: int, occurrence: int, row: Row) -> int | None:
        """Return the row's outcome and record its current position."""
        finished = self.finished
        number = finished.rows.number(key)
        if number is None:
            return None
        position = finished.rows.positions[number]
        end = finished.meet(number, hashed)
        if end == End.ANSWERED and position == row.index:
            return end  # first: nearly all of a million rows are
        if not finished.asks(number, hashed):
            # The answer to another request is not this row's answer, even if this run never reaches the row.
            if position != GONE:
                self._manifest.gone(_name(row, hashed, occurrence))
        elif position != row.index:
            self._manifest.moved(_name(row, hashed, occurrence), row.index)
        return _as_asked(end, row)

    def _end(self, key: int, hashed: int, row: Row) -> int | None:
        return _as_asked(self.finished.end(key, hashed), row)

    def _due(self, end: int | None) -> bool:
        if end is None:
            # A row without an id and with another request is a new row.
            return not self._redo or self._redo.new_too or End.CHANGED in self._redo.kinds
        return end in self._redo.kinds

    def _is_due(self, name: bytes, hashed: int, row: Row) -> bool:
        if self._shard is not None and not self._shard.has(name):
            return False
        return self._due(self._end(key_of(name), hashed, row))

    def _changed(self, row: Row, number: int) -> InputChangedError:
        more = f", as did {number - 1:,} further rows" if number > 1 else ""
        return InputChangedError(
            f"{self._source}, line {row.line}: the request of row {row.custom_id!r} changed since it was "
            f"answered{more}. Either the line or the parameters of the command changed. Nothing was sent: undo the "
            "change, write to another output, or run changed rows again (redo='changed', --redo changed)",
            path=str(self._source),
            line=row.line,
        )

    def _check_how_it_asks(self) -> None:
        """Raise InputChangedError if changed parameters would send unchanged rows again.

        An edited row without an id is a new row and is sent; but a changed parameter would pay for every row.
        """
        run, finished = self.finished.run, self.finished
        if run is None:
            # The earlier parameters are unknown; a missing match for every answer is not the result of editing rows.
            if finished.loses_unnamed() and not finished.keeps_unnamed():
                raise self._otherwise("no row without an id matches an answered request")
            return
        before = defaults_of(run)
        if run == self.how_it_asks or before is None:
            return
        number = self._lost_of(before)
        if number:
            changes = ", ".join(differences(before, self._defaults))
            raise self._otherwise(f"{counted(number, 'answered row')} would be sent again, because {changes}")

    def _lost_of(self, before: Defaults) -> int:
        """Count rows of the input whose answers would be reused with the parameters ``before``."""
        occurrences, number = Occurrences(), 0
        try:
            for row in self._source.rows(before):
                hashed = request_hash(row)
                name = _name(row, hashed, 0 if row.custom_id is not None else occurrences.next(hashed))
                number += self.finished.loses(key_of(name.encode()), hashed)
        except ConfigurationError:
            return 0  # the input cannot be read with those parameters
        return number

    def _otherwise(self, what: str) -> InputChangedError:
        return InputChangedError(
            f"{self._source}: {what}. Nothing was sent: undo the change, write to another output, or send the rows "
            "again (redo='changed', --redo changed)",
            path=str(self._source),
        )


def _name(row: Row, hashed: int, occurrence: int) -> str:
    return unnamed(hashed, occurrence) if row.custom_id is None else row.custom_id


def _as_asked(end: int | None, row: Row) -> int | None:
    return End.ANSWERED if end == End.INVALID_JSON and not asks_for_json(row) else end


def _repeated(source: RowOrigin, defaults: Defaults, row: Row, number: int) -> InputFormatError:
    # Read again, because storing the line of every id takes memory.
    lines = (line for line, custom_id in source.ids(defaults) if custom_id == row.custom_id)
    more = f"; {number - 1:,} further rows have duplicate ids" if number > 1 else ""
    column = defaults.id_column or "custom_id"
    return InputFormatError(
        f"{source}, line {row.line}: {column} {row.custom_id!r} is a duplicate of line {next(lines, 0)}{more}. "
        "Nothing was sent: give each row a unique id, or none",
        path=str(source),
        line=row.line,
    )


def _ambiguous(source: RowOrigin, row: Row) -> InputFormatError:
    return InputFormatError(
        f"{source}, line {row.line}: {row.custom_id!r} has the form of a generated name, and other rows have no id. "
        "Nothing was sent: give every row an id, or choose other ids",
        path=str(source),
        line=row.line,
    )
