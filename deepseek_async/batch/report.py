"""What became of a job."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

import msgspec

from deepseek_async.batch.progress import Progress
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import DeepSeekError
from deepseek_async.types import FeeCharge


class ExitCode(IntEnum):
    """How ``deepseek-async batch run`` ends."""

    OK = 0
    ROWS_FAILED = 1
    USAGE = 2
    STOPPED = 3
    """Not every row was run; the same command goes on where it stopped."""
    LOCKED = 4


class BatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job: its last progress, and why it ended."""

    progress: Progress
    failures: Mapping[str, int]
    """Rows that failed in this run, by the name of their error."""
    resumed_failed: int
    """Rows that an earlier run had finished with an error."""
    damaged: int
    """Lines of an earlier run that could not be read and were set aside; their rows ran again."""
    damaged_file: str | None = None
    """Where they are now."""
    stopped: DeepSeekError | str | None
    """Why the job stopped before its last row; None if it ran to the end."""
    predicted_cached_tokens: int = 0
    """Tokens that the order of the rows promised to come from the API's prefix cache, in this run."""
    warnings: list[str] = []
    """What did not go as it was meant to, without any row being lost for it."""
    left: int = 0
    """Rows without an end that this run left alone, because it was asked to run only others again."""
    skipped: int = 0
    """Rows without an end that were left out because a cell that they would ask about is empty, null or NaN."""
    carried: list[str] = []
    """What stands beside the requests of this run and was not sent, because it is no parameter of the API: the first
    hundred names. Empty with a template, which says what is asked about."""
    not_asked: int = 0
    """Rows of earlier runs that this input does not ask for. Their lines stay in the output."""
    cut_off: int = 0
    """Documents that this run read, and of which a page has more than was read: the next run reads them again."""
    made_up: int = 0
    """Rows whose answers of an earlier run a simulator made up, so that this run asked them again."""
    spent: float = 0.0
    """US dollars of this run; with a budget, those of earlier runs too."""
    first_failures: list[BatchResult] = []
    """The first ten rows that failed in this run."""

    @property
    def complete(self) -> bool:
        """Whether every row of the input has an end, or was left alone or left out on request."""
        progress = self.progress
        return progress.total is not None and progress.done + self.left + self.skipped == progress.total

    @property
    def rows(self) -> int:
        """Rows that have an end in the output."""
        return self.progress.done

    @property
    def ok(self) -> int:
        """Rows answered in this run."""
        return self.progress.ok

    @property
    def failed(self) -> int:
        """Rows that failed for good in this run."""
        return self.progress.failed

    @property
    def resumed(self) -> int:
        """Rows that an earlier run had finished."""
        return self.progress.resumed

    @property
    def cost(self) -> float:
        """US dollars of this run, with ``progress.estimated_cost``: never less than what was billed."""
        return self.progress.cost

    @property
    def fees(self) -> tuple[FeeCharge, ...]:
        """What this run paid beside tokens, a line for each kind."""
        return self.progress.fees

    @property
    def saved(self) -> float:
        """US dollars that the prefix cache saved in this run."""
        return self.progress.saved

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code for this end."""
        if self.stopped is not None or not self.complete:
            return ExitCode.STOPPED
        if self.cut_off:
            return ExitCode.STOPPED  # the same command goes on with them
        if self.failed or self.resumed_failed:
            return ExitCode.ROWS_FAILED
        return ExitCode.OK


class StoppableJob(Protocol):
    """A job under way, on this machine or on many: see ``Job``."""

    async def run(self) -> BatchReport:
        """Run every row that has no line in the output yet."""
        ...

    def stop(self, reason: DeepSeekError | str = ...) -> None:
        """Start no more rows."""

    def progress(self) -> Progress:
        """Where it stands now."""
        ...

    def report(self) -> BatchReport:
        """What became of the rows until now."""
        ...
