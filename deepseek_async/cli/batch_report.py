"""``deepseek-async batch report``: HTML report of a job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.asked_rows import Input, asked_rows, what_is_missing
from deepseek_async.cli.batch_status import figures
from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.cli.terminal import harmless, say

NAME: Final = "report"
ABOUT: Final = """\
Write the report of a job as one self-contained HTML page: latency, throughput
and requests in flight over time, tokens, cost and savings, failures. With --input
also why prompts missed the service's prefix cache."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch report out.jsonl                  # writes out.html
    deepseek-async batch report out.jsonl -o report.html --input in.jsonl
    deepseek-async batch report out.jsonl --input in.jsonl --json | jq .prompt_cache"""


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
    as_json: Annotated[
        bool,
        Parameter(name="--json", negative=(), show_default=False, help="Print the report as JSON; write no page."),
    ] = False,
) -> int:
    from deepseek_async.batch.review.job_summary import account_of  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.review.page import page  # noqa: PLC0415
    from deepseek_async.batch.review.prompt_cache import cache_report  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415
    from deepseek_async.files.replacement import replaced  # noqa: PLC0415

    table = prices()
    asked = asked_rows(output, source, rows)
    account, missed = account_of(asked, table), cache_report(asked, table)
    if as_json:
        report = {**figures(asked, account, None), "prompt_cache": None if missed is None else missed.to_dict()}
        sys.stdout.write(harmless(json.dumps(report, indent=2, ensure_ascii=False)) + "\n")
        return 0
    target = target or output.with_suffix(".html")
    notices = [f"{line[0].upper()}{line[1:]}." for line in what_is_missing(asked)]
    text = page(account, table, name=output.name, damaged=asked.output.damaged, notices=notices, prompt_cache=missed)
    inputs = [output, asked.output.path, *([] if source is None else [source])]
    with replaced(target, *inputs, force=force) as file:
        file.write(text.encode("utf-8", "replace"))  # a file name need not be UTF-8
    say(f"wrote report to {target}")
    if missed is not None and missed.total.prompts:
        for line in str(missed).splitlines():
            say(line)
    return 0
