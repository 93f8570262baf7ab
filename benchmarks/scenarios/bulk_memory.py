"""A file of prompts to a file of answers: does memory stay the same when the file is ten times as long?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import Stopwatch
from prompts import answered, write_prompts
from trial import Trial

ABOUT = "`client.batch.run`, JSONL to JSONL, short prompts, 100 at a time"
UNIT = "row"
CONTESTANTS = ("ours",)
CASES = ("10000", "100000")
CONCURRENCY = 100
SERVER: tuple[str, ...] = ()


async def run(trial: Trial) -> dict[str, float]:
    rows = trial.amount(int(trial.case))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        write_prompts(prompts, rows)
        with Stopwatch() as watch:
            await trial.contestant.bulk(prompts, answers)
        return watch.per(rows) | {"errors": rows - answered(answers, rows)}
