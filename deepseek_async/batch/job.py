"""A job from an input file to an output file, which is also its journal: run it again and it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.identity import DigestSet, Identities, digest, request_hash
from deepseek_async.batch.journal import Journal
from deepseek_async.batch.line import encode_line
from deepseek_async.batch.progress import Progress, Tally
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.result import BatchResult, says_nothing_of_the_row
from deepseek_async.batch.row import Defaults, Row
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
        concurrency: int,
        ordered: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._source = source
        self._output = output
        self._answer = answer
        self._defaults = defaults
        self._concurrency = concurrency
        self._ordered = ordered
        self._on_progress = on_progress
        self._tally = Tally()
        self._total: int | None = None
        self._started = time.monotonic()
        self._dispatcher: Dispatcher[_Named, tuple[_Named, BatchResult]] | None = None
        self._stopped: DeepSeekError | str | None = None
        self._rejected: list[InputFormatError] = []

    def progress(self) -> Progress:
        """Where the job stands now."""
        return self._tally.snapshot(
            total=self._total,
            in_flight=self._dispatcher.in_flight if self._dispatcher else 0,
            elapsed=time.monotonic() - self._started,
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
        self._check_paths()
        self._total = await asyncio.to_thread(count_lines, self._source)
        rows = read_rows(self._source, self._defaults)
        journal = Journal(self._output, self._durable)
        try:
            async with journal:
                finished = await asyncio.to_thread(self._read_finished, journal)
                with closing(self._unfinished(rows, finished)) as pending:  # type: ignore[type-var]
                    await self._run_rows(pending, journal)
        except OutputWriteError as error:
            if self._dispatcher is None:
                raise
            self.stop(error)
        return self._report(journal)

    def _check_paths(self) -> None:
        if not self._source.is_file():
            what = "is a directory" if self._source.is_dir() else "does not exist"
            raise ConfigurationError(f"the input {self._source} {what}")
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
        if len(self._rejected) < _KEPT_REJECTIONS:
            first = self._line_of(str(row.custom_id))
            self._rejected.append(
                InputFormatError(
                    f"{self._source}, line {row.line}: custom_id {row.custom_id!r} is already that of line {first}; "
                    "the row was not run",
                    path=str(self._source),
                    line=row.line,
                ),
            )

    def _line_of(self, custom_id: str) -> int:
        """The first line with that id. Read again instead of remembered: memory must not grow with the rows."""
        with closing(read_rows(self._source, self._defaults)) as rows:  # type: ignore[type-var]
            return next((row.line for row in rows if row.custom_id == custom_id), 0)

    async def _run_rows(self, rows: Iterator[_Named], journal: Journal) -> None:
        dispatcher = Dispatcher(rows, self._answer_named, concurrency=self._concurrency, ordered=self._ordered)
        self._dispatcher = dispatcher
        if self._stopped is not None:
            dispatcher.stop()
        async for named, result in dispatcher.results():
            if says_nothing_of_the_row(result.error):
                self._tally.sent(result)
                self.stop(result.error or "")
            else:
                await journal.append(encode_line(result, named.custom_id, named.hashed), result)

    async def _answer_named(self, named: _Named) -> tuple[_Named, BatchResult]:
        return named, await self._answer(named.row)

    def _durable(self, results: list[Any]) -> None:
        for result in results:
            self._tally.add(result)
        if self._on_progress is not None:
            self._on_progress(self.progress())

    def _report(self, journal: Journal) -> BatchReport:
        return BatchReport(
            progress=self.progress(),
            failures=dict(self._tally.failures),
            resumed_failed=self._tally.resumed_failed,
            rejected=self._rejected,
            damaged=journal.damaged,
            stopped=self._stopped,
        )
