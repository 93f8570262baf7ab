"""A job whose output is a Parquet file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.job import Job
from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.row_origin import RowFile
from deepseek_async.batch.tables.parquet_output import check_parquet, journal_of, write_parquet
from deepseek_async.errors import OutputWriteError
from deepseek_async.process.worker_threads import FILE_THREADS

_FIRST: Final = 10_000
"""Rows after which the table is written for the first time, if the job has not ended before."""


class ParquetJob(Job):
    """Journals JSON lines beside the output, and writes the output whenever its rows have doubled and when it ends.

    A run that was killed or cancelled leaves a whole table with at least half of its rows, unless they are few; the
    journal has all of them, and the next run goes on.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        *arguments: Any,
        on_progress: Callable[[Progress], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(RowFile(source), journal_of(output), *arguments, on_progress=self._advanced, **options)
        self._table_input = source
        self._table_path = output
        self._on_advance = on_progress
        self._table_due = _FIRST
        self._table_ends = False
        self._table_writing: asyncio.Task[None] | None = None

    async def run(self) -> BatchReport:
        """Run like ``Job.run``, then write the Parquet file.

        Raises OutputWriteError if it cannot be written; the journal has every answer then.
        """
        await FILE_THREADS.run(check_parquet, self._table_path, self._table_input)
        try:
            report = await super().run()
        finally:
            self._table_ends = True
            if self._table_writing is not None:
                await _ended(self._table_writing)
        try:
            await FILE_THREADS.run(write_parquet, self._output, self._table_path)
        except OutputWriteError as error:
            message = f"{error.message}; every answer is in {self._output}, and the same command writes the rest"
            raise OutputWriteError(message, path=error.path) from None
        return report

    def _advanced(self, progress: Progress) -> None:
        if progress.done >= self._table_due and (self._table_writing is None or self._table_writing.done()):
            self._table_due = 2 * progress.done
            writing = FILE_THREADS.run(write_parquet, self._output, self._table_path, lambda: self._table_ends)
            self._table_writing = asyncio.create_task(writing)
        if self._on_advance is not None:
            self._on_advance(progress)


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for ``task`` despite cancellation. Its failure is not raised: the table is written again at the end."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.exception()
    if cancelled is not None:
        raise cancelled
