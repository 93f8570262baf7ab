"""``deepseek-async batch export``: the answers of a job in the order of its input."""

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
    from deepseek_async.batch.review.row_selection import Asked

NAME: Final = "export"
ABOUT: Final = """\
Write the answers of a job in the order of its input: JSON lines, CSV or Parquet.

With --input: exactly its rows, with its columns beside the answers. Without:
the rows that the latest run asked for. index is the place of the row in the
input, from 0. Of a row that was run again the last answer counts. Parquet needs
the extra parquet.

A spreadsheet runs a cell that begins like a formula (=, +, -, @). Where prompts
or answers hold words of others, and people open the CSV in Excel, LibreOffice
or Google Sheets, use --spreadsheet-safe. Leave it out where programs read the
file: it puts an apostrophe before such texts. Numbers stay as they are."""
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
            help="File to write: .jsonl, .csv (.gz behind it packs) or .parquet. Default: standard output.",
        ),
    ] = None,
    form: Annotated[
        Literal["jsonl", "csv", "parquet"] | None,
        Parameter(name="--format", help="Where the suffix does not say it. Default on standard output: jsonl."),
    ] = None,
    content_only: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Of the answer only index, custom_id and content.")
    ] = False,
    spreadsheet_safe: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="For CSV that people open in a spreadsheet: an apostrophe before texts that it would run as formulas.",
        ),
    ] = False,
    force: Annotated[bool, Parameter(negative=(), show_default=False, help="Replace a file that is there.")] = False,
    source: Input = None,
    rows: RowFlags | None = None,
) -> int:
    from deepseek_async.batch.review.export import export, format_of, packed  # noqa: PLC0415  brings aiohttp
    from deepseek_async.files.replacement import check_stream, replaced  # noqa: PLC0415

    asked = asked_rows(output, source, rows)
    inputs = [output] if source is None else [output, source]
    if target is None or target == STANDARD:
        if form == "parquet":
            raise ConfigurationError("Parquet is written to a file: name one with -o")
        check_stream(sys.stdout.buffer, *inputs)
        export(asked, data_output(), form or "jsonl", content_only=content_only, spreadsheet_safe=spreadsheet_safe)
        _say_what_is_missing(asked)
        return 0
    chosen = form or format_of(target)
    with replaced(target, *inputs, force=force) as file, packed(file, target) as packing:
        exported = export(asked, packing, chosen, content_only=content_only, spreadsheet_safe=spreadsheet_safe)
    say(f"{counted(exported, 'row')} in {target}")
    _say_what_is_missing(asked)
    return 0


def _say_what_is_missing(asked: Asked) -> None:
    for line in what_is_missing(asked):
        say(line)
