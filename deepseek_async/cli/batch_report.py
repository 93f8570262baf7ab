"""``deepseek-async batch report``: HTML report of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.asked_rows import Input, asked_rows, what_is_missing
from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.cli.terminal import say

NAME: Final = "report"
ABOUT: Final = """\
Write the report of a job as one self-contained HTML page: latency, throughput
and requests in flight over time, tokens, cost and savings, failures."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch report out.jsonl                  # writes out.html
    deepseek-async batch report out.jsonl -o report.html --input in.jsonl"""


def run(
    output: Annotated[Path, Parameter(name="OUT", help="Output of batch run.")],
    /,
    *,
    target: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="File to write. Default: OUT with the suffix .html.")
    ] = None,
    force: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Overwrite an existing file, such as an earlier report.")
    ] = False,
    source: Input = None,
    rows: RowFlags | None = None,
) -> int:
    from deepseek_async.batch.review.job_summary import account_of  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.review.page import page  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415
    from deepseek_async.files.replacement import replaced  # noqa: PLC0415

    table = prices()
    asked = asked_rows(output, source, rows)
    target = target or output.with_suffix(".html")
    notices = [f"{line[0].upper()}{line[1:]}." for line in what_is_missing(asked)]
    text = page(account_of(asked, table), table, name=output.name, damaged=asked.output.damaged, notices=notices)
    inputs = [output, asked.output.path, *([] if source is None else [source])]
    with replaced(target, *inputs, force=force) as file:
        file.write(text.encode("utf-8", "replace"))  # a file name need not be UTF-8
    say(f"wrote report to {target}")
    return 0
