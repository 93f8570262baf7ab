"""Which rows of an output a command speaks of, and what it says of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.errors import ConfigurationError
from deepseek_async.text.number_format import counted

if TYPE_CHECKING:
    from deepseek_async.batch.review.row_selection import Asked

Input = Annotated[
    Path | None,
    Parameter(
        name="--input",
        help="Speak of exactly the rows of this file, in its order and with its columns. Default: the rows that the "
        "latest run asked for. Template, model and so on are those of the latest run, if the flags for rows do not "
        "name others.",
    ),
]


def asked_rows(output: Path, source: Path | None, flags: RowFlags | None) -> Asked:
    """The rows, and what they have come to. Raises ConfigurationError."""
    from deepseek_async.batch.review.output_reader import OutputReader  # noqa: PLC0415
    from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.run_record import defaults_of  # noqa: PLC0415

    if source is None and flags is not None:
        raise ConfigurationError("how rows are asked says which rows of an input are answered: name it with --input")
    read = OutputReader(output)
    read.read()
    if source is None:
        return LatestRun(read)
    before = None if read.run is None else defaults_of(read.run)
    return RowsOfInput(read, source, before if flags is None else flags.defaults(before))


def what_is_missing(asked: Asked) -> Iterator[str]:
    """Lines about rows without an answer, and about answers that no row is given."""
    if asked.pending:
        yield f"no run has come to {counted(asked.pending, 'row')}"
    if asked.skipped:
        yield f"left out {counted(asked.skipped, 'row')}, because a cell is empty"
    if asked.changed:
        answers = counted(asked.changed, "answer")
        yield f"left out {answers} to what a row does not ask any more: batch run --redo changed asks anew"
    if asked.not_asked:
        whose = "the latest run did" if asked.total is None else "the input does"
        yield f"left out {counted(asked.not_asked, 'row')} that {whose} not ask for"
    if asked.total and asked.pending == asked.total and len(asked.output):
        yield "no row is known: if the run had a --template, --model, --thinking or --id-column, name it here too"
    if asked.made_up:
        yield f"{counted(asked.made_up, 'answer')} made up by a simulator, and by no model"
    if asked.ambiguous:
        yield "rows of several inputs were merged, so that their order is not known: name the input with --input"
