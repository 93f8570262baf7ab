"""The rows that an output is asked about, in their order: those of an input, or those that the latest run asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.batch.digests import Occurrences
from deepseek_async.batch.identity import key_of, request_hash, unnamed
from deepseek_async.batch.known_rows import GONE, UNKNOWN
from deepseek_async.batch.review.columns import Columns
from deepseek_async.batch.review.output import Failure, OutputLine, OutputReader
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.source import Fingerprint, read_records
from deepseek_async.errors import InputChangedError

_PENDING: Final = Failure("pending", "no run has come to this row")
_SKIPPED: Final = Failure("skipped", "the row is left out, because a cell that it would ask about is empty")
_CHANGED: Final = Failure("changed", "the row asks for something else than when it was answered: run --redo changed")


class AskedRow(msgspec.Struct, gc=False):
    """A row, and how it ended."""

    index: int | None
    """Its place in the input, from 0; None if that is not known."""
    custom_id: str
    hashed: str
    columns: Mapping[str, Any]
    """What stands in the row beside the request."""
    number: int | None = None
    """Its number in the output; None if it has no line there, or one that answers another request."""
    wire: bytes = b""
    line: OutputLine | None = None
    """The line of that number."""
    error: Failure | None = None
    """Why the row has no answer."""


class Asked(ABC):
    """Rows, and what they have come to in an output that has been read."""

    def __init__(self, output: OutputReader) -> None:
        self.output = output
        self.columns = Columns()
        self.total: int | None = None
        """Rows of the input; None if no input says it."""
        self.pending = 0
        """Rows that have not ended."""
        self.skipped = 0
        """Rows that are left out, because a cell that they would ask about is empty: they end without a line."""
        self.changed = 0
        """Rows with an id that ask for something else than when they were answered, which therefore is left out."""

    @property
    def ambiguous(self) -> bool:
        """Whether two rows stand in the same place, because they are of different inputs."""
        return False

    @abstractmethod
    def has(self, number: int) -> bool:
        """Whether the output's row of that number is among them."""

    @abstractmethod
    def rows(self) -> Iterator[AskedRow]:
        """The rows in the order of the input."""

    def numbers(self) -> Iterator[int]:
        """The numbers of those that have ended."""
        return (number for number in range(len(self.output)) if self.has(number))

    @abstractmethod
    def asks(self, line: OutputLine) -> bool:
        """Whether a line of a row that had not ended is of one of them."""

    @property
    def made_up(self) -> int:
        """Those of them whose answer a simulator made up."""
        return sum(map(self.output.made_up, self.numbers()))

    @property
    def not_asked(self) -> int:
        """Rows of the output that are not among them."""
        return len(self.output) - sum(1 for _ in self.numbers())

    @property
    def began(self) -> float | None:
        """When the first request for one of them was sent, in seconds since 1970; None if no line says."""
        began = min((self.output.began[number] for number in self.numbers()), default=inf)
        return began if began < inf else None

    @property
    def ended(self) -> float | None:
        """When the last answer came."""
        ended = max((self.output.ended[number] for number in self.numbers()), default=-inf)
        return ended if ended > -inf else None


class LatestRun(Asked):
    """The rows that the latest run asked for, as far as they have ended."""

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
        """Rows whose place nobody knows come last, in the order of the file."""
        positions = self.output.rows.positions
        return sorted(self.numbers(), key=lambda number: (positions[number] == UNKNOWN, positions[number]))

    @property
    def ambiguous(self) -> bool:
        places = [position for position in self.output.rows.positions if position >= 0]
        return len(set(places)) < len(places)


class RowsOfInput(Asked):
    """The rows of an input, known by their ids or by what they ask. Raises what reading the input raises.

    ``defaults`` are what the run adds to each row; None if nobody knows, and then a row with an id is taken to ask for
    what it asked for. The input is read here, and again by ``rows``.
    """

    def __init__(self, output: OutputReader, source: Path, defaults: Defaults | None) -> None:
        super().__init__(output)
        self._source = source
        self._defaults = defaults
        self._fingerprint = Fingerprint.of(source)
        self._has = bytearray(len(output))
        self._pending = {line.custom_id: False for line in output.pending}
        """Rows that were billed before they had ended, and whether the input has them."""
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
                f"the input {self._source} changed while it was read: {difference}. Run the command again",
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
            yield AskedRow(row.index, name, f"{hashed:016x}", columns, number, error=error)

    def _found(self, name: str, hashed: int) -> tuple[int | None, Failure | None]:
        output = self.output
        number = output.rows.number(key_of(name.encode()))
        if number is None:
            return None, _PENDING
        if self._defaults is None or output.asks(number, hashed):
            return number, None
        return None, _PENDING if output.failed(number) else _CHANGED
