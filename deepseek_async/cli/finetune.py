"""``deepseek-async finetune prepare``: validate and split training data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.types import PositiveInt
from cyclopts.validators import Number

from deepseek_async.cli.terminal import harmless, say

if TYPE_CHECKING:
    from deepseek_async.finetune import Summary

ABOUT: Final = """\
Validate a file of dialogues and split it for fine-tuning.

Each line is {"messages": [...]} or {"prompt": ..., "completion": ...}. Lines with
wrong roles, turns out of order, empty turns or too many tokens are excluded and
reported, as are duplicates. No question is in both files. No API key is needed.

Writes NAME.train.jsonl and NAME.validation.jsonl and prints their paths.

Exit codes: 0 every line is a valid row or a duplicate, 1 some lines are
invalid, 2 the file cannot be used."""
EXAMPLES: Final = """\
For example:

    deepseek-async finetune prepare dialogues.jsonl
    deepseek-async finetune prepare dialogues.jsonl -o data --validation 0.15 --seed 7"""


def prepare(
    source: Annotated[Path, Parameter(name="DATA", help="Dialogues, one JSON object per line.")],
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="Output directory. Default: that of DATA."),
    ] = None,
    validation: Annotated[
        float,
        Parameter(validator=Number(gt=0, lt=1), help="Fraction of rows for validation; 0.10 to 0.15 is recommended."),
    ] = 0.12,
    seed: Annotated[int, Parameter(help="Seed of the split, for reproducibility.")] = 0,
    max_tokens: Annotated[
        PositiveInt | None,
        Parameter(help="Maximum estimated tokens per row. Default: the context window of the live models."),
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="Print the summary as JSON.")
    ] = False,
    force: Annotated[bool, Parameter(negative=(), show_default=False, help="Overwrite existing files.")] = False,
) -> int:
    from deepseek_async import finetune  # noqa: PLC0415  brings msgspec
    from deepseek_async.finetune.preparation import LONGEST_ROW  # noqa: PLC0415

    summary = finetune.prepare(
        source,
        output,
        validation=validation,
        seed=seed,
        max_tokens=max_tokens or LONGEST_ROW,
        force=force,
    )
    if as_json:
        sys.stdout.write(harmless(json.dumps(_as_dict(summary), ensure_ascii=False, indent=2)) + "\n")
    else:
        sys.stdout.write(harmless(f"{summary.train_file}\n{summary.validation_file}\n"))
        _explain(summary)
    for warning in summary.warnings:
        say(f"warning: {warning}")
    if not summary.rows:
        return 2
    return 1 if summary.wrong else 0


def _explain(summary: Summary) -> None:
    for rejection in summary.examples:
        say(f"line {rejection.line}: {rejection.message}")
    say(f"{summary.lines:,} lines: {summary.train_rows:,} training rows, {summary.validation_rows:,} validation rows")
    if summary.rejected:
        say("excluded: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(summary.rejected.items())))
    if summary.rows:
        say(
            f"about {summary.tokens:,} tokens, {summary.tokens // summary.rows:,} per row; "
            f"the longest has {summary.longest_tokens:,} (line {summary.longest_line})",
        )


def _as_dict(summary: Summary) -> dict[str, object]:
    import msgspec  # noqa: PLC0415

    described: dict[str, object] = msgspec.to_builtins(summary)
    return {**described, "validation_share": round(summary.validation_share, 4), "warnings": summary.warnings}
