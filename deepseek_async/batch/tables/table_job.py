"""A job whose output is a Parquet file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from deepseek_async.batch.job import Job
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.row_origin import RowFile
from deepseek_async.batch.tables.parquet_output import check_parquet, journal_of, write_parquet
from deepseek_async.errors import OutputWriteError


class ParquetJob(Job):
    """Journals JSON lines beside the output, and writes the output when it ends, also when it was stopped early.

    A run that was killed or cancelled leaves the output of the run before; the next one writes it.
    """

    def __init__(self, source: Path, output: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(RowFile(source), journal_of(output), *arguments, **options)
        self._input = source
        self._parquet = output

    async def run(self) -> BatchReport:
        """Run like ``Job.run``, then write the Parquet file.

        Raises OutputWriteError if it cannot be written; the journal has every answer then.
        """
        await asyncio.to_thread(check_parquet, self._parquet, self._input)
        report = await super().run()
        try:
            await asyncio.to_thread(write_parquet, self._output, self._parquet)
        except OutputWriteError as error:
            message = f"{error.message}; every answer is in {self._output}, and the same command writes the rest"
            raise OutputWriteError(message, path=error.path) from None
        return report
