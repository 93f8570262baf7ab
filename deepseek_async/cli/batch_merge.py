"""``deepseek-async batch merge``: merge the outputs of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.terminal import say
from deepseek_async.text.number_format import counted

NAME: Final = "merge"
ABOUT: Final = """\
Merge the outputs of several runs, each row once.

Every line is verified. Of several lines for one row the last one counts, in
the order of the outputs on the command line. The merged file is written
atomically, and a run can resume with it.

Exit codes: 0 done, 1 done without some damaged lines, whose rows must run
again, 2 usage error, 4 one of the files is locked by a run."""

EXAMPLES: Final = """\
For example, after two machines have run --shard 1/2 and --shard 2/2:

    deepseek-async batch merge one.jsonl two.jsonl -o answers.jsonl"""


def run(
    *outputs: Annotated[Path, Parameter(name="OUT", help="Outputs of batch run.")],
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The merged file.")],
) -> int:
    from deepseek_async.batch.journal.merge import merge  # noqa: PLC0415  brings msgspec

    merged = merge(outputs, output)
    parts = f"{counted(merged.rows, 'row')}, {counted(merged.superseded, 'line')} superseded"
    say(f"merged {counted(len(outputs), 'output')}: {parts} → {output}")
    if merged.damaged:
        say(f"excluded {counted(merged.damaged, 'damaged line')}; run the job into {output} again to redo their rows")
    return 1 if merged.damaged else 0
