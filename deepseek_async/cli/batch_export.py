"""``deepseek-async batch export``: the answers of a job in the order of its input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.standard_streams import STANDARD
from deepseek_async.cli.terminal import say
from deepseek_async.errors import ConfigurationError
from deepseek_async.figures import counted

NAME: Final = "export"
ABOUT: Final = """\
Write the answers of a job in the order of its input: JSON lines, CSV or Parquet.

Of a row that was run again the last answer counts. Parquet needs the extra
parquet."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch export out.jsonl -o ordered.jsonl
    deepseek-async batch export out.jsonl -o answers.csv --content-only
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
        bool, Parameter(negative=(), show_default=False, help="Only custom_id and content.")
    ] = False,
) -> int:
    from deepseek_async.batch.review.export import export, format_of, replaced  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.review.output import Output  # noqa: PLC0415

    answers = Output(output)
    answers.read()
    if target is None or target == STANDARD:
        if form == "parquet":
            raise ConfigurationError("Parquet is written to a file: name one with -o")
        export(answers, sys.stdout.buffer, form or "jsonl", content_only=content_only)
        return 0
    chosen = form or format_of(target)
    with replaced(target, output) as file:
        rows = export(answers, file, chosen, content_only=content_only)
    say(f"{counted(rows, 'row')} in {target}")
    return 0
