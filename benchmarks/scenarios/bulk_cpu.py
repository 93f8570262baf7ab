"""A file of prompts to a file of answers, beside the same requests through ``create``: what does a job add?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from load import at_a_time, plain_job
from measure import Stopwatch
from prompts import answered, write_prompts
from trial import Trial

ABOUT = "`client.batch.run`, JSONL to JSONL, beside `create` in a loop; 100 at a time, answers of 2 kB, no latency"
UNIT = "row"
CONTESTANTS = ("ours",)
CASES = ("create", "run")
CONCURRENCY = 100
SERVER: tuple[str, ...] = ()


async def run(trial: Trial) -> dict[str, float]:
    rows = trial.amount(20_000)
    job = plain_job(trial.contestant)
    await at_a_time(CONCURRENCY, trial.amount(1_000), job)
    if trial.case == "create":
        with Stopwatch() as watch:
            await at_a_time(CONCURRENCY, rows, job)
        return watch.per(rows) | {"errors": 0}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        write_prompts(prompts, rows)
        with Stopwatch() as watch:
            await trial.contestant.bulk(prompts, answers)
        return watch.per(rows) | {"errors": rows - answered(answers, rows)}
