"""``deepseek-async batch export``: results of a job in input order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.asked_rows import Input, asked_rows, what_is_missing
from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.cli.standard_streams import STANDARD
from deepseek_async.cli.terminal import data_output, say
from deepseek_async.errors import ConfigurationError
from deepseek_async.text.number_format import counted

if TYPE_CHECKING:
    from deepseek_async.batch.review.row_selection import SelectedRows

NAME: Final = "export"
ABOUT: Final = """\
Export the results of a job in input order as JSON lines, CSV or Parquet.

With --input: exactly its rows, with its columns. Without: the rows of the
latest run. The column index is the position in the input, from 0. Of a row
that was run again the last answer counts. Parquet requires the extra parquet.

A spreadsheet executes a cell that starts like a formula (=, +, -, @). If
prompts or answers contain untrusted text, and the CSV is opened in Excel,
LibreOffice or Google Sheets, use --spreadsheet-safe: it prefixes such texts
with an apostrophe. Numbers are unchanged. Omit it for files read by programs."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch export out.jsonl -o labelled.csv --input reviews.csv
    deepseek-async batch export out.jsonl -o ordered.jsonl
    deepseek-async batch export out.jsonl -o answers.csv --content-only
    deepseek-async batch export out.jsonl -o for-excel.csv --spreadsheet-safe
    deepseek-async batch export out.jsonl -o answers.parquet"""


def run(
    output: Annotated[Path, Parameter(name="OUT", help="Output of batch run.")],
    /,
    *,
    target: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="File to write: .jsonl or .csv, optionally with .gz, or .parquet. Default: stdout.",
        ),
    ] = None,
    form: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        Parameter(name="--format", help="Format, if not given by the suffix. Default on stdout: jsonl."),
    ] = None,
    content_only: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Export only index, custom_id and content.")
    ] = False,
    spreadsheet_safe: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Escape formulas in CSV with an apostrophe, for files opened in a spreadsheet.",
        ),
    ] = False,
    force: Annotated[bool, Parameter(negative=(), show_default=False, help="Overwrite an existing file.")] = False,
    source: Input = None,
    rows: RowFlags | None = None,
) -> int:
    from deepseek_async.batch.review.export import export, format_of, packed  # noqa: PLC0415  brings aiohttp
    from deepseek_async.files.replacement import check_stream, replaced  # noqa: PLC0415

    asked = asked_rows(output, source, rows)
    inputs = [output, asked.output.path, *([] if source is None else [source])]
    if target is None or target == STANDARD:
        if form == "parquet":
            raise ConfigurationError("Parquet requires an output file: name one with -o")
        check_stream(sys.stdout.buffer, *inputs)
        export(asked, data_output(), form or "jsonl", content_only=content_only, spreadsheet_safe=spreadsheet_safe)
        _say_what_is_missing(asked)
        return 0
    chosen = form or format_of(target)
    with replaced(target, *inputs, force=force) as file, packed(file, target) as packing:
        exported = export(asked, packing, chosen, content_only=content_only, spreadsheet_safe=spreadsheet_safe)
    say(f"exported {counted(exported, 'row')} to {target}")
    _say_what_is_missing(asked)
    return 0


def _say_what_is_missing(asked: SelectedRows) -> None:
    for line in what_is_missing(asked):
        say(line)
