"""Batch report: outcome of a job and exit code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec

from deepseek_async.batch.progress import Progress
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.tables.frame_library import frame_of
from deepseek_async.batch.tables.output_columns import OutputTable
from deepseek_async.errors import ConfigurationError, DeepSeekError
from deepseek_async.text.html import table_html
from deepseek_async.text.number_format import dollars, duration
from deepseek_async.types import FeeCharge


class ExitCode(IntEnum):
    """Exit codes of ``deepseek-async batch run``."""

    OK = 0
    ROWS_FAILED = 1
    USAGE = 2
    STOPPED = 3
    """Not every row was run; the same command resumes."""
    LOCKED = 4


class BatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a job: final progress and stop reason."""

    progress: Progress
    failures: Mapping[str, int]
    """Rows failed in this run, by error name."""
    resumed_failed: int
    """Rows that an earlier run finished with an error."""
    damaged: int
    """Unreadable lines of an earlier run, which were set aside; their rows ran again."""
    damaged_file: str | None = None
    """The file that holds those lines."""
    stopped: DeepSeekError | str | None
    """Why the job stopped before its last row; None if it completed."""
    predicted_cached_tokens: int = 0
    """Tokens that the row order predicted to come from the API's prefix cache, in this run."""
    warnings: list[str] = []
    """Problems that did not lose any row."""
    left: int = 0
    """Rows without a result that were not run, because only others were to be redone."""
    skipped: int = 0
    """Rows without a result that were skipped because a cell needed for the prompt is empty, null or NaN."""
    carried: list[str] = []
    """Names of carried columns of this run, which are no API parameters and were not sent; at most 100. Empty with a
    template, which names the columns used."""
    not_asked: int = 0
    """Rows of earlier runs that are not in this input. Their lines stay in the output."""
    cut_off: int = 0
    """Documents with an incomplete page; the next run reads them again."""
    made_up: int = 0
    """Rows sent again because their answers from an earlier run were simulated."""
    spent: float = 0.0
    """US dollars of this run; with a budget, of all runs."""
    first_failures: list[BatchResult] = []
    """The first ten rows that failed in this run."""
    output: str | None = None
    """Path of the JSON lines that hold the answers: the output, or the journal of a Parquet output."""

    @property
    def complete(self) -> bool:
        """Whether every row of the input has ended, or was excluded or skipped on request."""
        progress = self.progress
        return progress.total is not None and progress.done + self.left + self.skipped == progress.total

    @property
    def rows(self) -> int:
        """Rows with a result in the output."""
        return self.progress.done

    @property
    def ok(self) -> int:
        """Rows answered in this run."""
        return self.progress.ok

    @property
    def failed(self) -> int:
        """Rows that failed permanently in this run."""
        return self.progress.failed

    @property
    def resumed(self) -> int:
        """Rows finished by an earlier run."""
        return self.progress.resumed

    @property
    def cost(self) -> float:
        """US dollars of this run, including ``progress.estimated_cost``: never less than what was billed."""
        return self.progress.cost

    @property
    def fees(self) -> tuple[FeeCharge, ...]:
        """Charges of this run other than tokens, one per kind."""
        return self.progress.fees

    @property
    def saved(self) -> float:
        """US dollars saved by the prefix cache in this run."""
        return self.progress.saved

    def to_pandas(self) -> Any:
        """Return the rows of the latest run, in input order, as a pandas DataFrame.

        Its columns are ``index``, ``custom_id``, those of the input that were not sent, and those of ``batch.table``
        (``answer``, ``parsed.NAME``, ``error``, ``usage``, ``cost``), followed by ``reasoning``, ``tool_calls``,
        ``finish_reason``, ``model``, ``attempts``, ``started``, ``latency``, ``request_id`` and ``simulated``. An
        input column of one of these names becomes ``input_…``. Reads the output, which may be large.
        Raises ConfigurationError if the library is not installed or the output is gone.
        """
        return self._frame("pandas")

    def to_polars(self) -> Any:
        """Return the rows as a polars DataFrame; see ``to_pandas``."""
        return self._frame("polars")

    def to_arrow(self) -> Any:
        """Return the rows as a pyarrow Table; see ``to_pandas``."""
        return self._frame("pyarrow")

    def _frame(self, library: str) -> Any:
        if self.output is None:
            raise ConfigurationError(
                "the report has no path of an output: convert the output with deepseek-async batch export"
            )
        table = OutputTable(Path(self.output))
        rows = list(table.records())
        columns = {name: (kind, [row[name] for row in rows]) for name, kind in table.types.items()}
        return frame_of(library, columns)

    def _repr_html_(self) -> str:
        """Return what a notebook shows, with everything escaped."""
        progress = self.progress
        facts: list[tuple[str, object]] = [
            ("rows", f"{self.rows:,}" if progress.total is None else f"{self.rows:,} of {progress.total:,}"),
            ("answered", f"{self.ok:,}"),
            ("failed", f"{self.failed:,}"),
            ("cost", dollars(self.cost)),
            ("tokens", f"{progress.prompt_tokens:,} in, {progress.completion_tokens:,} out"),
            ("duration", duration(progress.elapsed)),
        ]
        for name, number in (("answered before", self.resumed), ("skipped", self.skipped), ("left", self.left)):
            if number:
                facts.append((name, f"{number:,}"))
        if self.stopped is not None:
            facts.append(("stopped", self.stopped))
        facts += [("warning", warning) for warning in self.warnings]
        facts += [(name, f"{number:,}") for name, number in self.failures.items()]
        facts += [(f"row {end.index}", end.error and end.error.message) for end in self.first_failures]
        return table_html((), facts)

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the command."""
        if self.stopped is not None or not self.complete:
            return ExitCode.STOPPED
        if self.cut_off:
            return ExitCode.STOPPED  # the same command resumes them
        if self.failed or self.resumed_failed:
            return ExitCode.ROWS_FAILED
        return ExitCode.OK


class StoppableJob(Protocol):
    """A running job, on one machine or a cluster: see ``Job``."""

    async def run(self) -> BatchReport:
        """Run every row that has no line in the output yet."""
        ...

    def stop(self, reason: DeepSeekError | str = ...) -> None:
        """Start no more rows."""

    def progress(self) -> Progress:
        """Return a snapshot of the job's progress."""
        ...

    def report(self) -> BatchReport:
        """Return the report so far."""
        ...
