"""A batch job from an input file to an output file, which is also its journal: running it again resumes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Final

from deepseek_async.batch.completed_rows import SurveyStoppedError
from deepseek_async.batch.dedupe import AnsweredRequests, copied_result
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.fail_fast import FailFast
from deepseek_async.batch.job_budget import JobBudget
from deepseek_async.batch.job_lines import JobLines
from deepseek_async.batch.journal import Journal, Written
from deepseek_async.batch.options import JobOptions
from deepseek_async.batch.progress import JobEnding, Progress, Tally
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.result import BatchResult, stays_pending
from deepseek_async.batch.resume_plan import PendingRow, ResumePlan
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_executor import RowExecutor, both
from deepseek_async.batch.row_origin import RowOrigin
from deepseek_async.batch.schedule.prefix_scheduler import Ticket
from deepseek_async.batch.schedule.row_feed import RowFeed, Schedule
from deepseek_async.batch.simulated import Server
from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    DeepSeekError,
    InputChangedError,
    OutputWriteError,
    RowsLostError,
)
from deepseek_async.process.worker_threads import FILE_THREADS

_LOOK_EVERY: Final = 1024
"""Rows between two checks for concurrent writes to the input."""


class Job:
    """One run over a file. Create it with ``client.batch.job``, ``run`` it once, and ``stop`` it to end early."""

    def __init__(
        self,
        source: RowOrigin,
        output: Path,
        answerer: RowExecutor,
        *,
        server: Server,
        defaults: Defaults,
        concurrency: int | Callable[[], int],
        schedule: Schedule,
        ordered: bool = False,
        options: JobOptions,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._source = source
        self._output = output
        self._answerer = answerer
        self._server = server
        self._made_up = 0
        self._defaults = defaults
        self._concurrency = concurrency
        self._schedule = schedule
        self._ordered = ordered
        self._options = options
        self._on_progress = on_progress
        self._tally = Tally()
        self._fail_fast = FailFast(options.fail_fast)
        self._total: int | None = None
        self._left = self._skipped = self._not_asked = self._damaged = 0
        self._budget = JobBudget(options.budget)
        self._damaged_file: Path | None = None
        self._started = time.monotonic()
        self._feed: RowFeed[PendingRow] | None = None
        self._dispatcher: Dispatcher[Ticket[PendingRow], BatchResult] | None = None
        self._copies: AnsweredRequests | None = None
        self._stopped: DeepSeekError | str | None = None
        self._put_aside: DeepSeekError | None = None
        """Why a row stays pending although the job continued."""
        self._journal: Journal | None = None

    def progress(self) -> Progress:
        """Return a snapshot of the job's progress."""
        return self._tally.snapshot(
            total=self._total,
            in_flight=self._dispatcher.staying if self._dispatcher else 0,
            elapsed=time.monotonic() - self._started,
            resumes_at=self._feed.resumes_at if self._feed else None,
        )

    def stop(self, reason: DeepSeekError | str = "stopped on request") -> None:
        """Start no more rows. Rows in flight finish and are written; rows waiting to be sent stay pending."""
        if self._stopped is None:
            self._stopped = reason
        if self._dispatcher is not None:
            self._dispatcher.stop()

    async def run(self) -> BatchReport:
        """Run every row that has no line in the output yet.

        Raises ConfigurationError for unusable files or settings, InputFormatError for a duplicate ``custom_id``,
        InputChangedError for an input that does not match the output, OutputWriteError for an unusable output, and
        OutputLockedError if another run holds the output; all before anything is sent.
        """
        self._started = time.monotonic()
        self._source.check(self._defaults, self._output)
        options = self._options
        journal = self._journal = Journal(
            self._output,
            self._durable,
            durability=options.durability,
            min_free=options.min_free,
            allow_network=options.allow_network,
        )
        try:
            async with journal:
                lines = JobLines(journal, self._server, options.redo)
                while await self._round(journal, lines):
                    await journal.drain()
                if (restated := lines.restated()) is not None:
                    journal.append_nowait(restated, None)
        except SurveyStoppedError:
            pass
        except RowsLostError as error:
            self.stop(error)
        except OutputWriteError as error:
            if self._dispatcher is None:
                raise
            self.stop(error)
        except asyncio.CancelledError:
            self.stop("cancelled")
            raise
        self._conclude()
        return self.report()

    def _conclude(self) -> None:
        """Verify that every row has ended or the stop reason is known, so that a bug cannot look like success."""
        ended = self._tally.done + self._left + self._skipped
        if ended == self._total and isinstance(self._stopped, str):
            self._stopped = None  # stopped with no rows left to start
        elif self._stopped is None and ended != self._total and self._put_aside is not None:
            self.stop(self._put_aside)
        elif self._stopped is None and ended != self._total:
            self.stop(
                RowsLostError(
                    f"the input has {self._total or 0:,} rows, but {ended:,} have ended. This is a bug in the "
                    "library; please report it. The output is intact, and the same command runs the rest",
                    read=self._total or 0,
                    ended=ended,
                ),
            )

    async def _round(self, journal: Journal, lines: JobLines) -> bool:
        """Plan and run the pending rows. Return True if rows were deferred for an equal one in flight."""
        first = self._dispatcher is None
        survey = await FILE_THREADS.run(self._survey, journal)
        if first:
            self._total, self._left, self._skipped = survey.total, survey.left, survey.skipped
            self._tally.resumed, self._tally.resumed_failed = survey.resumed, survey.resumed_failed
            self._made_up = survey.made_up
            self._not_asked = survey.not_asked
            self._budget.spent = survey.finished.spent
            lines.begin(survey)
            for due in survey.renamed:
                journal.append_nowait(lines.copied(due), None)
                if journal.behind:
                    await journal.make_room()
            self._check_budget()
        if self._options.dedupe:
            self._copies = AnsweredRequests(survey.finished.places)
        with closing(self._due(survey)) as rows:  # type: ignore[type-var]
            await self._run_rows(rows, journal, lines)
        with self._stopped_by_a_change():
            survey.check_unchanged()
        return self._copies is not None and self._copies.put_off > 0 and self._stopped is None

    def _survey(self, journal: Journal) -> ResumePlan:
        """Run in a thread, because it takes seconds for a million rows."""
        options = self._options
        survey = ResumePlan(self._source, self._defaults, redo=options.redo, shard=options.shard, server=self._server)
        lines = journal.lines()
        survey.finished.read(
            lines,
            places=options.dedupe,
            spent=options.budget is not None,
            stopped=self._is_stopped,
        )
        self._damaged_file = journal.set_aside(lines) or self._damaged_file
        self._damaged += len(lines.damaged)
        survey.look(self._is_stopped)
        return survey

    def _is_stopped(self) -> bool:
        return self._stopped is not None

    def _due(self, survey: ResumePlan) -> Iterator[PendingRow]:
        prepare = self._answerer.prepare
        with self._stopped_by_a_change():
            for number, due in enumerate(survey.rows()):
                if number % _LOOK_EVERY == 0:
                    survey.check_unchanged()
                if self._copies is not None:
                    place = self._copies.place(due.row, due.hashed)
                    if place == -1:
                        continue
                    due.place = place
                if due.redo is not None:
                    due.row = self._options.redo.asked(due.row)
                if due.place is None:
                    due.call = prepare(due.row)
                    if self._options.budget is not None and isinstance(due.call, Call):
                        due.call.may_go_on = both(due.call.may_go_on, self._may_go_on)
                yield due

    @contextmanager
    def _stopped_by_a_change(self) -> Iterator[None]:
        """If the input changes now, it is too late to reject the job: finish and keep the rows in flight."""
        try:
            yield
        except (InputChangedError, ConfigurationError) as error:
            self.stop(error)

    async def _run_rows(self, rows: Iterator[PendingRow], journal: Journal, lines: JobLines) -> None:
        feed = self._feed = self._schedule.feed(rows, self._remaining, self._concurrency)

        def answer(ticket: Ticket[PendingRow]) -> Awaitable[BatchResult]:
            due = ticket.row
            if due.call is None or journal.stalled:
                return self._copied_or_answered(due, journal)
            return self._answerer.answer(due.row, due.call)

        def ended(ticket: Ticket[PendingRow], result: BatchResult) -> None:
            error, failure = result.error, None if result.cut_short else self._fail_fast.add(result)
            # Immediately, not when the result is consumed: no worker may start another row.
            if error is not None and stays_pending(result):
                if failure is None and isinstance(error, AuthenticationError):
                    self._put_aside = error
                else:
                    self.stop(error)
            elif failure is not None:
                self.stop(self._fail_fast.told(failure))
            feed.ended(ticket, result)

        dispatcher = self._dispatcher = Dispatcher(
            feed,
            answer,
            ended=ended,
            concurrency=self._concurrency,
            ordered=self._ordered,
            waits=lambda ticket: isinstance(ticket.row.call, Call) and ticket.row.call.waits,
        )
        if self._stopped is not None:
            dispatcher.stop()
        try:
            async with aclosing(dispatcher.results()) as results:
                async for ticket, result in results:
                    self._keep(ticket.row, result, journal, lines)
                    if journal.behind:
                        await journal.make_room()
        finally:
            # Answers that had arrived when the job was cancelled are paid for.
            for ticket, result in dispatcher.untaken():
                self._keep(ticket.row, result, journal, lines)
            for ticket in dispatcher.cancelled:
                self._keep_bill(ticket.row, journal, lines)

    async def _copied_or_answered(self, due: PendingRow, journal: Journal) -> BatchResult:
        if due.place is not None:
            return copied_result(journal.read_line(due.place), due.row.index, due.custom_id)
        await journal.flow()
        return await self._answerer.answer(due.row, due.call or self._answerer.prepare(due.row))

    def _keep_bill(self, due: PendingRow, journal: Journal, lines: JobLines) -> None:
        """Record what a cancelled row was billed."""
        if isinstance(due.call, Call) and due.call.bill is not None:
            cut = self._answerer.cut(due.row, due.call)
            self._tally.asked(JobEnding.of(cut))
            self._budget.spent += cut.cost or 0.0
            # Without usage the report states the maximum, which must not consume the budget of later runs.
            if not all(attempt.usage.estimated for attempt in cut.billed_attempts):
                journal.append_nowait(lines.pending(due, cut), None)

    def _keep(self, due: PendingRow, result: BatchResult, journal: Journal, lines: JobLines) -> None:
        self._answerer.price(result)
        if result.columns is not None:
            self._tally.note(result, due.row, self._defaults)
        if self._budget.limit is not None:
            if isinstance(due.call, Call):
                self._budget.ended(due.call)
            if result.cost:
                self._budget.pay(result.cost)
                self._check_budget()
        if result.error is None or not stays_pending(result):
            copied = due.place is not None
            line = lines.copied(due) if copied else lines.ended(due, result)
            journal.append_nowait(line, JobEnding.of(result, copied=copied))
            return
        # Every other row would meet its error.
        self._tally.asked(JobEnding.of(result))
        if result.billed_attempts:
            journal.append_nowait(lines.pending(due, result), None)

    def _remaining(self) -> int | None:
        """Rows that have not ended, including those in flight."""
        return None if self._total is None else max(0, self._total - self._tally.done)

    def _check_budget(self) -> None:
        if self._stopped is None:
            in_flight = self._dispatcher.in_flight if self._dispatcher is not None else 0
            exhausted = self._budget.exhausted(in_flight)
            if exhausted is not None:
                self.stop(exhausted)

    def _may_go_on(self, call: Attempts, _: APIError) -> bool:
        """Whether a row may be retried after a failed attempt, which was billed as well."""
        if spent := self._answerer.spent(call):
            self._budget.bill(call, spent)
        self._check_budget()
        return self._stopped is None

    def _durable(self, written: Written) -> None:
        for ending in written.marks:
            if ending is not None:
                self._tally.add(ending)
        if self._copies is not None:
            self._copies.written(written)
        if self._on_progress is not None:
            self._on_progress(self.progress())

    def report(self) -> BatchReport:
        """Return the report so far; ``run`` returns it, and it is available after ``run`` was cancelled."""
        return BatchReport(
            progress=self.progress(),
            failures=dict(self._tally.failures),
            resumed_failed=self._tally.resumed_failed,
            damaged=self._damaged,
            damaged_file=None if self._damaged_file is None else str(self._damaged_file),
            left=self._left,
            cut_off=self._tally.cut_off,
            made_up=self._made_up,
            skipped=self._skipped,
            carried=list(self._tally.carried),
            not_asked=self._not_asked,
            spent=self._tally.cost if self._budget.limit is None else self._budget.spent,
            stopped=self._stopped,
            predicted_cached_tokens=self._feed.predicted if self._feed is not None else 0,
            warnings=self._warnings(),
            first_failures=list(self._tally.first_failures),
            output=str(self._output),
        )

    def _warnings(self) -> list[str]:
        warnings = self._feed.warnings() if self._feed is not None else []
        if self._journal is not None and self._journal.cut:
            warnings.insert(0, f"the last line of {self._output} was truncated by a crash; its row runs again")
        return warnings
