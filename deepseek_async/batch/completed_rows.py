"""Rows finished by earlier runs, read from the output: how each ended and whether the input still contains it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final

from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.journal.reading import OutputLines
from deepseek_async.batch.line_format import glance, text_of
from deepseek_async.batch.output_line import OutputFacts, decode_line
from deepseek_async.batch.redo import End, Redo
from deepseek_async.batch.resume_index import GONE, UNKNOWN, ResumeIndex
from deepseek_async.batch.row_identity import first_unnamed, is_unnamed, key_of, unnamed_key
from deepseek_async.batch.run_record import decode_manifest
from deepseek_async.batch.simulated import Server

_END: Final = 7
"""Bits of a row's state: how it ended."""
_MET: Final = 8
"""Bit of a row's state: the input contains it."""
_UNNAMED: Final = 16
"""Bit of a row's state: it has no id."""
REPEATED: Final = -1
_UNANSWERED: Final = frozenset({End.FAILED, End.ERROR, End.MADE_UP})
LOOK_EVERY: Final = 4096


class SurveyStoppedError(Exception):
    """The job was stopped before it started."""


class CompletedRows:
    """Rows finished by earlier runs: offset, request hash and outcome of each."""

    def __init__(self, redo: Redo, server: Server, *, columns: bool = False) -> None:
        self._redo = redo
        self._server = server
        self._lines: OutputLines | None = None
        self._hashes = array("Q")
        self._states = bytearray()
        self.rows = ResumeIndex()
        self.last_line = -1
        """Offset in the output of each row's last line."""
        self.run: bytes | None = None
        """Parameters of the latest run that recorded them: see ``how_it_asks``."""
        self.met = 0
        """Finished rows that the input contains."""
        self.made_up = 0
        """Of these, rows with simulated answers, for which a real one is wanted."""
        self.spent = 0.0
        """US dollars of all lines, superseded ones included, except for simulated answers."""
        self.places = DigestMap()
        """End offset of an answer for each request hash, if ``read`` was asked to record it."""

        self._columns: dict[int, tuple[bytes, int]] | None = {} if columns else None
        """By row: its columns as JSON, and the offset of the line with them; None if not recorded."""

    def __len__(self) -> int:
        return len(self._states)

    def read(self, lines: OutputLines, *, places: bool, spent: bool, stopped: Callable[[], bool]) -> None:
        """Read every line. Of several lines for one row the last one counts."""
        quickly = not (self._redo or spent or self._columns is not None)
        self._lines = lines
        self.rows = ResumeIndex(lines.expected())
        hashes, states, take = self._hashes, self._states, self.rows.line
        for count, line in enumerate(lines):
            if count % LOOK_EVERY == 0 and stopped():
                raise SurveyStoppedError
            seen = glance(line) if quickly else None
            if seen is None:
                self._add_slowly(lines, line, places=places)
                continue
            name, hashed, position = seen
            # One character first: millions of names are tested, and the full match takes ten times as long.
            if name[20:21] != b"-":
                number, state = take(key_of(name), position), End.ANSWERED
            elif name == first_unnamed(hashed):
                number, state = take(unnamed_key(hashed, 0), position), End.ANSWERED | _UNNAMED
            else:
                number, state = take(key_of(name), position), End.ANSWERED | (_UNNAMED if is_unnamed(name) else 0)
            if number == len(states):
                hashes.append(hashed)
                states.append(state)
            else:
                hashes[number], states[number] = hashed, state
            self.last_line = lines.at
            if places:
                self.places.put(hashed, lines.at + 1)

    def _add_slowly(self, lines: OutputLines, line: bytes, *, places: bool) -> None:
        text = text_of(line)
        row = decode_line(text)
        if row is None:
            lines.blank_or_damaged(line)
            return
        facts = row.facts or OutputFacts()
        # A line from another program has no request hash; 0 matches any request.
        hashed = facts.hashed or 0
        taken = self._server.takes(facts)
        if taken:
            self.spent += facts.cost or 0.0
        if row.pending:
            return
        self.run = bytes(facts.run) or self.run
        name = row.custom_id.encode()
        end = self._redo.end_of(row, text) if taken else End.MADE_UP
        if self._redo and self._server.simulated and not facts.simulated:
            # A simulated answer never replaces a real one.
            end, hashed = End.FAILED if row.failed else End.ANSWERED, 0
        state = end | (_UNNAMED if is_unnamed(name) else 0)
        position = UNKNOWN if facts.index is None else facts.index
        if bytes(facts.manifest):
            manifest = decode_manifest(facts.manifest)
            number = self.rows.line_with(manifest, key_of(name), position, restated=row.restated)
            self._keep(number, hashed, state)
        else:
            number = self.rows.line(key_of(name), position)
            self._keep(number, hashed, state)
        if self._columns is not None and end != End.MADE_UP:
            self._columns[number] = bytes(facts.columns), lines.at
        if places and taken and hashed and not facts.set:
            self.places.put(hashed, lines.at + 1)
        self.last_line = lines.at

    def _keep(self, number: int, hashed: int, state: int) -> None:
        if number == len(self._states):
            self._hashes.append(hashed)
            self._states.append(state)
        elif state & _END != End.MADE_UP or self._states[number] & _END == End.MADE_UP:
            self._hashes[number] = hashed
            self._states[number] = state

    def end(self, key: int, hashed: int) -> int | None:
        """Return how the row ended, None if it has not ended, or CHANGED if it answered another request.

        A failed row whose request has changed has not ended: it has no answer to protect.
        """
        number = self.rows.number(key)
        return None if number is None else self._end(number, hashed)

    def place_under_other_columns(self, key: int, columns: bytes) -> int | None:
        """Return the offset of the row's line if its columns there differ from ``columns``, else None."""
        number = self.rows.number(key)
        found = None if number is None or self._columns is None else self._columns.get(number)
        return None if found is None or found[0] == columns else found[1]

    def meet(self, number: int, hashed: int) -> int | None:
        """Mark the row as present in the input and return its outcome (see ``end``), or REPEATED if already marked."""
        state = self._states[number]
        if state & _MET:
            return REPEATED
        self._states[number] = state | _MET
        self.met += 1
        if state & _END == End.ANSWERED and self._hashes[number] == hashed:
            return End.ANSWERED  # first: nearly all of a million rows are
        self.made_up += self._states[number] & _END == End.MADE_UP
        return self._end(number, hashed)

    def _end(self, number: int, hashed: int) -> int | None:
        end = self._states[number] & _END
        if end == End.MADE_UP:
            return None
        if end >= End.LENGTH or self.asks(number, hashed):
            return end
        return None if end == End.FAILED else End.CHANGED

    def asks(self, number: int, hashed: int) -> bool:
        """Whether the row's line answers a request with that hash, as far as the line records one."""
        return self._hashes[number] in (0, hashed)

    def _is_lost(self, number: int) -> bool:
        """Whether the row has an answer that this input does not contain, but the previous run's input did."""
        state = self._states[number]
        return not state & _MET and state & _END not in _UNANSWERED and self.rows.positions[number] != GONE

    def loses(self, key: int, hashed: int) -> bool:
        """Whether the row's answer to that request is orphaned."""
        number = self.rows.number(key)
        return number is not None and self._is_lost(number) and self._hashes[number] == hashed

    def keeps_unnamed(self) -> bool:
        """Whether the input contains an answered row without an id."""
        return any(state & _MET and state & _UNNAMED and state & _END not in _UNANSWERED for state in self._states)

    def loses_unnamed(self) -> bool:
        """Whether an answer without an id is orphaned: it is found only by an identical request in the input."""
        return any(state & _UNNAMED and self._is_lost(number) for number, state in enumerate(self._states))

    def not_asked(self) -> Iterator[str]:
        """Yield names of rows in the previous run's input that this input lacks, which are marked GONE."""
        if self.met == len(self) or self._lines is None:
            return
        for line in OutputLines(self._lines.path):
            row = decode_line(text_of(line))
            number = self.rows.number(key_of(row.custom_id.encode())) if row is not None else None
            if (
                row is None
                or row.pending
                or number is None
                or self._states[number] & _MET
                or self.rows.positions[number] == GONE
            ):
                continue
            self.rows.positions[number] = GONE
            yield row.custom_id
