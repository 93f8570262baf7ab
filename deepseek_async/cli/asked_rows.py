"""Selection of an output's rows for the status, report and export commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.errors import ConfigurationError
from deepseek_async.text.number_format import counted

if TYPE_CHECKING:
    from deepseek_async.batch.review.row_selection import SelectedRows

Input = Annotated[
    Path | None,
    Parameter(
        name="--input",
        help="Input file: select exactly its rows, in its order and with its columns. Default: the rows of the "
        "latest run. Template, model and other row options default to those of the latest run.",
    ),
]


def asked_rows(output: Path, source: Path | None, flags: RowFlags | None) -> SelectedRows:
    """Select the rows and read their results. Raises ConfigurationError."""
    from deepseek_async.batch.review.output_reader import OutputReader  # noqa: PLC0415
    from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.run_record import defaults_of  # noqa: PLC0415
    from deepseek_async.batch.tables.parquet_output import journal_of  # noqa: PLC0415

    if source is None and flags is not None:
        raise ConfigurationError("row options require --input")
    read = OutputReader(journal_of(output))
    read.read()
    if source is None:
        return LatestRun(read)
    before = None if read.run is None else defaults_of(read.run)
    return RowsOfInput(read, source, before if flags is None else flags.defaults(before))


def what_is_missing(asked: SelectedRows) -> Iterator[str]:
    """Yield lines about rows without an answer and answers without a row."""
    if asked.pending:
        yield f"pending: {counted(asked.pending, 'row')}"
    if asked.skipped:
        yield f"skipped: {counted(asked.skipped, 'row')} with an empty cell"
    if asked.changed:
        answers = counted(asked.changed, "answer")
        yield f"excluded: {answers} to changed requests; run batch run --redo changed"
    if asked.not_asked:
        whose = "the latest run" if asked.total is None else "the input"
        yield f"excluded: {counted(asked.not_asked, 'row')} not in {whose}"
    if asked.total and asked.pending == asked.total and len(asked.output):
        yield "no rows match: repeat the --template, --model, --thinking and --id-column of the run"
    if asked.made_up:
        yield f"simulated: {counted(asked.made_up, 'answer')}"
    if asked.ambiguous:
        yield "unknown order: the output was merged from several inputs; give one with --input"
