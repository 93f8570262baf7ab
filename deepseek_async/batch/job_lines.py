"""Output lines of one run: each row's, and in the first of them how the run asks."""

from __future__ import annotations

from deepseek_async.batch.journal import Journal
from deepseek_async.batch.line_encoder import copied_line, encode_line, pending_line, restated_line
from deepseek_async.batch.redo import Redo
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.resume_plan import PendingRow, ResumePlan
from deepseek_async.batch.run_record import record_of
from deepseek_async.batch.simulated import Server


class JobLines:
    """Encodes the lines of a run. ``begin`` it with the plan before the first line."""

    def __init__(self, journal: Journal, server: Server, redo: Redo) -> None:
        self._journal = journal
        self._server = server
        self._redo = redo
        self._record = b""
        """For the next line: the run record, until one has it."""
        self._last_line = -1
        """Offset of the line to repeat with the record if the run writes none itself; -1 for none."""

    def begin(self, plan: ResumePlan) -> None:
        """Record the state of earlier rows, for this run's first line."""
        manifest = plan.manifest()
        self._record = record_of(plan.how_it_asks, manifest)
        # Skipped rows have no line either, so the manifest must record that they were in the input.
        self._last_line = plan.finished.last_line if manifest is not None or plan.skipped else -1

    def ended(self, due: PendingRow, result: BatchResult) -> bytes:
        """Return the line of a row that was answered or has failed."""
        record, self._record = self._record, b""
        origin = None if due.redo is None else self._redo.origin(due.redo)
        return encode_line(result, due.custom_id, due.hashed, origin, record + self._server.mark(result))

    def copied(self, due: PendingRow) -> bytes:
        """Return the line of a row whose answer is in the output, at ``due.place``."""
        record, self._record = self._record, b""
        source, columns = self._journal.read_line(due.place or 0), due.row.columns
        return copied_line(source, due.custom_id, due.hashed, due.row.index, columns=columns, record=record)

    def pending(self, due: PendingRow, result: BatchResult) -> bytes:
        """Return a line with what was billed for a row that has not ended."""
        return pending_line(result, due.custom_id, due.hashed, self._server.mark(result))

    def restated(self) -> bytes | None:
        """Return an earlier line with the run record, if no line of this run has it; None if none is needed."""
        if not self._record or self._last_line < 0:
            return None
        return restated_line(self._journal.read_line(self._last_line), self._record)
