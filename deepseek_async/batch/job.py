"""A job from an input file to an output file, which is also its journal: run it again and it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.identity import DigestSet, Identities, digest, request_hash
from deepseek_async.batch.journal import Journal
from deepseek_async.batch.line import encode_line
from deepseek_async.batch.progress import Ending, Progress, Tally
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.result import BatchResult, says_nothing_of_the_row
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.schedule.feed import Feed, Schedule
from deepseek_async.batch.schedule.lineup import Ticket
from deepseek_async.batch.source import count_lines, read_rows
from deepseek_async.errors import ConfigurationError, DeepSeekError, InputFormatError, OutputWriteError

_KEPT_REJECTIONS: Final = 100


class _Named:
    """A row that is to be run, with its name in the output."""

    __slots__ = ("custom_id", "hashed", "row")

    def __init__(self, row: Row, custom_id: str, hashed: int) -> None:
        self.row = row
        self.custom_id = custom_id
        self.hashed = hashed


class Job:
    """One run over a file. Make it with ``client.batch.job``; ``run`` it once; ``stop`` ends it early."""

    def __init__(
        self,
        source: Path,
        output: Path,
        answer: Callable[[Row], Awaitable[BatchResult]],
        *,
        defaults: Defaults,
        concurrency: int | Callable[[], int],
        schedule: Schedule,
        ordered: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._source = source
        self._output = output
        self._answer = answer
        self._defaults = defaults
        self._concurrency = concurrency
        self._schedule = schedule
        self._ordered = ordered
        self._on_progress = on_progress
        self._tally = Tally()
        self._total: int | None = None
        self._started = time.monotonic()
        self._feed: Feed[_Named] | None = None
        self._dispatcher: Dispatcher[Ticket[_Named], tuple[_Named, BatchResult]] | None = None
        self._stopped: DeepSeekError | str | None = None
        self._duplicates: dict[int, str] = {}
        self._first_lines: dict[str, int] = {}
        self._journal: Journal | None = None

    def progress(self) -> Progress:
        """Where the job stands now."""
        return self._tally.snapshot(
            total=self._total,
            in_flight=self._dispatcher.in_flight if self._dispatcher else 0,
            elapsed=time.monotonic() - self._started,
            resumes_at=self._feed.resumes_at if self._feed else None,
        )

    def stop(self, reason: DeepSeekError | str = "stopped on request") -> None:
        """Start no more rows. Those under way are finished and written."""
        if self._stopped is None:
            self._stopped = reason
        if self._dispatcher is not None:
            self._dispatcher.stop()

    async def run(self) -> BatchReport:
        """Run every row that has no line in the output yet.

        Raises ConfigurationError for files or settings that cannot be used and OutputLockedError when another
        run holds the output, both before anything is sent.
        """
        self._started = time.monotonic()
        self._check_paths()
        self._total = await asyncio.to_thread(count_lines, self._source)
        rows = read_rows(self._source, self._defaults)
        journal = self._journal = Journal(self._output, self._durable)
        try:
            async with journal:
                finished = await asyncio.to_thread(self._read_finished, journal)
                with closing(self._unfinished(rows, finished)) as pending:  # type: ignore[type-var]
                    await self._run_rows(pending, journal)
            if self._duplicates:
                await asyncio.to_thread(self._find_first_lines)
        except OutputWriteError as error:
            if self._dispatcher is None:
                raise
            self.stop(error)
        except asyncio.CancelledError:
            self.stop("cancelled")
            raise
        return self.report()

    def _check_paths(self) -> None:
        if not self._source.is_file():
            what = "is no regular file" if self._source.exists() else "does not exist"
            raise ConfigurationError(f"the input {self._source} {what}")
        if self._output.is_dir():
            raise ConfigurationError(f"the output {self._output} is a directory")
        if self._output.exists() and self._output.samefile(self._source):
            raise ConfigurationError(f"input and output are the same file: {self._output}")
        if not self._output.parent.is_dir():
            raise ConfigurationError(f"the folder of the output does not exist: {self._output.parent}")

    def _read_finished(self, journal: Journal) -> DigestSet:
        finished = DigestSet()
        for row in journal.finished():
            if finished.add(digest(row.custom_id.encode())):
                self._tally.resumed_failed += row.failed
        return finished

    def _unfinished(self, rows: Iterator[Row], finished: DigestSet) -> Iterator[_Named]:
        identities = Identities()
        for row in rows:
            hashed = request_hash(row)
            custom_id = identities.name(row, hashed)
            if custom_id is None:
                self._reject(row)
            elif finished and digest(custom_id.encode()) in finished:
                self._tally.resumed += 1
            else:
                yield _Named(row, custom_id, hashed)

    def _reject(self, row: Row) -> None:
        """A second row with the same custom_id: it can have no line, because the name is taken."""
        if len(self._duplicates) < _KEPT_REJECTIONS:
            self._duplicates[row.line] = str(row.custom_id)

    def _find_first_lines(self) -> None:
        """Where the ids of the rejected rows were first. Read again, because to remember them takes memory."""
        wanted = set(self._duplicates.values())
        with closing(read_rows(self._source, self._defaults)) as rows:  # type: ignore[type-var]
            for row in rows:
                if row.custom_id in wanted:
                    self._first_lines.setdefault(row.custom_id, row.line)
                    if len(self._first_lines) == len(wanted):
                        return

    def _rejected(self) -> list[InputFormatError]:
        rejected = []
        for line, custom_id in self._duplicates.items():
            first = self._first_lines.get(custom_id)
            rejected.append(
                InputFormatError(
                    f"{self._source}, line {line}: custom_id {custom_id!r} is already that of "
                    f"{f'line {first}' if first else 'an earlier line'}; the row was not run",
                    path=str(self._source),
                    line=line,
                ),
            )
        return rejected

    async def _run_rows(self, rows: Iterator[_Named], journal: Journal) -> None:
        feed = self._feed = self._schedule.feed(rows, self._remaining, self._concurrency)

        async def answer(ticket: Ticket[_Named]) -> tuple[_Named, BatchResult]:
            result = await self._answer(ticket.row.row)
            if says_nothing_of_the_row(result.error):
                # At once, and not when the result is taken: no worker is to begin another row.
                self.stop(result.error or "")
            feed.ended(ticket, result)
            return ticket.row, result

        dispatcher = self._dispatcher = Dispatcher(
            feed,
            answer,
            concurrency=self._concurrency,
            ordered=self._ordered,
        )
        if self._stopped is not None:
            dispatcher.stop()
        try:
            async with aclosing(dispatcher.results()) as results:
                async for named, result in results:
                    if not self._stays_pending(result):
                        line = encode_line(result, named.custom_id, named.hashed)
                        await journal.append(line, Ending.of(result))
        finally:
            # Answers that were there when the job was cancelled are paid for.
            for named, result in dispatcher.untaken():
                if not self._stays_pending(result):
                    journal.append_nowait(encode_line(result, named.custom_id, named.hashed), Ending.of(result))

    def _stays_pending(self, result: BatchResult) -> bool:
        """Whether the row gets no line, because its error would be that of every other row; stops the job."""
        if result.error is None or not says_nothing_of_the_row(result.error):
            return False
        self._tally.sent(result.attempts)
        self.stop(result.error)
        return True

    def _remaining(self) -> int | None:
        """Rows without an end, those under way included."""
        return None if self._total is None else max(0, self._total - self._tally.done)

    def _durable(self, endings: list[Any]) -> None:
        for ending in endings:
            self._tally.add(ending)
        if self._on_progress is not None:
            self._on_progress(self.progress())

    def report(self) -> BatchReport:
        """What became of the rows until now; ``run`` returns it, and who cancels ``run`` can still ask for it."""
        return BatchReport(
            progress=self.progress(),
            failures=dict(self._tally.failures),
            resumed_failed=self._tally.resumed_failed,
            rejected=self._rejected(),
            damaged=self._journal.damaged if self._journal is not None else 0,
            stopped=self._stopped,
            predicted_cached_tokens=self._feed.predicted if self._feed is not None else 0,
            warnings=self._feed.warnings() if self._feed is not None else [],
            first_failures=list(self._tally.first_failures),
        )
