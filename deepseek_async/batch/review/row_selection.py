"""Rows to report on, in order: those of an input, or those of the latest run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.batch.digests import Occurrences
from deepseek_async.batch.input_fingerprint import Fingerprint
from deepseek_async.batch.resume_index import GONE, UNKNOWN
from deepseek_async.batch.review.columns import Columns
from deepseek_async.batch.review.output_reader import Failure, OutputLine, OutputReader
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_identity import key_of, request_hash, unnamed
from deepseek_async.batch.row_source import read_records
from deepseek_async.errors import InputChangedError

_PENDING: Final = Failure("pending", "no run has processed this row")
_SKIPPED: Final = Failure("skipped", "skipped, because a cell used by the prompt is empty")
_CHANGED: Final = Failure("changed", "the request changed since it was answered: run again with --redo changed")


class AskedRow(msgspec.Struct, gc=False):
    """A row and its result."""

    index: int | None
    """Position in the input, from 0; None if unknown."""
    custom_id: str
    hashed: str
    columns: Mapping[str, Any]
    """The row's columns that are not part of the request."""
    number: int | None = None
    """Row number in the output; None without a line there, or if its line answers another request."""
    wire: bytes = b""
    line: OutputLine | None = None
    """The line of that number."""
    error: Failure | None = None
    """Why the row has no answer."""
    body: Mapping[str, Any] | None = None
    """Its prompt as a chat request; None without an input, or for a row that is no request."""


class SelectedRows(ABC):
    """Rows and their results in an output that has been read."""

    def __init__(self, output: OutputReader) -> None:
        self.output = output
        self.columns = Columns()
        self.total: int | None = None
        """Rows of the input; None without an input."""
        self.pending = 0
        """Rows that have not ended."""
        self.skipped = 0
        """Rows skipped because a cell used by the prompt is empty; they have no line."""
        self.changed = 0
        """Rows with an id whose request changed after they were answered; the answer is excluded."""

    @property
    def ambiguous(self) -> bool:
        """Whether two rows have the same position, because they come from different inputs."""
        return False

    @abstractmethod
    def has(self, number: int) -> bool:
        """Whether the output's row of that number is included."""

    @abstractmethod
    def rows(self) -> Iterator[AskedRow]:
        """Yield the rows in input order."""

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of finished rows."""
        return (number for number in range(len(self.output)) if self.has(number))

    @abstractmethod
    def asks(self, line: OutputLine) -> bool:
        """Whether a line of an unfinished row belongs to one of the rows."""

    @property
    def made_up(self) -> int:
        """Included rows with a simulated answer."""
        return sum(map(self.output.made_up, self.numbers()))

    @property
    def not_asked(self) -> int:
        """Rows of the output that are not included."""
        return len(self.output) - sum(1 for _ in self.numbers())

    @property
    def began(self) -> float | None:
        """When the first request of an included row was sent, in seconds since 1970; None if unknown."""
        began = min((self.output.began[number] for number in self.numbers()), default=inf)
        return began if began < inf else None

    @property
    def ended(self) -> float | None:
        """When the last answer was received."""
        ended = max((self.output.ended[number] for number in self.numbers()), default=-inf)
        return ended if ended > -inf else None


class LatestRun(SelectedRows):
    """The finished rows of the latest run."""

    def __init__(self, output: OutputReader) -> None:
        super().__init__(output)
        self.columns = output.columns

    def has(self, number: int) -> bool:
        return self.output.rows.positions[number] != GONE

    def rows(self) -> Iterator[AskedRow]:
        with self.output.opened() as line_of:
            for number in self._order():
                wire, line = line_of(number)
                position = self.output.rows.positions[number]
                facts = line.facts
                yield AskedRow(
                    None if position == UNKNOWN else position,
                    line.custom_id,
                    facts.hash,
                    self.output.beside(number, line),
                    number,
                    wire,
                    line,
                    line.error,
                )

    def asks(self, line: OutputLine) -> bool:
        number = self.output.rows.number(key_of(line.custom_id.encode()))
        return number is None or self.has(number)

    def _order(self) -> list[int]:
        """Sort rows of unknown position last, in file order."""
        positions = self.output.rows.positions
        return sorted(self.numbers(), key=lambda number: (positions[number] == UNKNOWN, positions[number]))

    @property
    def ambiguous(self) -> bool:
        places = [position for position in self.output.rows.positions if position >= 0]
        return len(set(places)) < len(places)


class RowsOfInput(SelectedRows):
    """The rows of an input, matched by id or by request. Raises the errors of reading the input.

    ``defaults`` are the parameters the run adds to each row; None if unknown, and then a row with an id is assumed to
    be unchanged. The input is read here, and again by ``rows``.
    """

    def __init__(self, output: OutputReader, source: Path, defaults: Defaults | None) -> None:
        super().__init__(output)
        self._source = source
        self._defaults = defaults
        self._fingerprint = Fingerprint.of(source)
        self._has = bytearray(len(output))
        self._pending = {line.custom_id: False for line in output.pending}
        """Rows billed before they ended, and whether the input contains them."""
        total = 0
        for row in self._read():
            total += 1
            self.columns.add(row.columns)
            self.pending += row.error is _PENDING
            self.skipped += row.error is _SKIPPED
            self.changed += row.error is _CHANGED
            if row.number is not None:
                self._has[row.number] = True
            if row.custom_id in self._pending:
                self._pending[row.custom_id] = True
        self.total = total

    def has(self, number: int) -> bool:
        return bool(self._has[number])

    def asks(self, line: OutputLine) -> bool:
        return self._pending[line.custom_id]

    def rows(self) -> Iterator[AskedRow]:
        with self.output.opened() as line_of:
            for row in self._read():
                if row.number is not None:
                    row.wire, row.line = line_of(row.number)
                    row.error = row.line.error
                yield row
        difference = self._fingerprint.difference(self._source)
        if difference is not None:
            raise InputChangedError(
                f"the input {self._source} changed while being read: {difference}. Run the command again",
                path=str(self._source),
            )

    def _read(self) -> Iterator[AskedRow]:
        occurrences = Occurrences()
        for row, columns in read_records(self._source, self._defaults or Defaults()):
            hashed = request_hash(row)
            name = unnamed(hashed, occurrences.next(hashed)) if row.custom_id is None else row.custom_id
            number, error = self._found(name, hashed)
            if row.error is not None and self._defaults is not None and self._defaults.leaves_out(row.error):
                number, error = None, _SKIPPED
            body = row.body if row.body is None or row.endpoint is None else row.endpoint.conversation(row.body)
            yield AskedRow(row.index, name, f"{hashed:016x}", columns, number, error=error, body=body)

    def _found(self, name: str, hashed: int) -> tuple[int | None, Failure | None]:
        output = self.output
        number = output.rows.number(key_of(name.encode()))
        if number is None:
            return None, _PENDING
        if self._defaults is None or output.asks(number, hashed):
            return number, None
        return None, _PENDING if output.failed(number) else _CHANGED
