"""A file of prompts to a file of answers, beside the same requests through ``create``: what does a job add?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from load import at_a_time
from measure import Stopwatch
from prompts import answered, requests, write_prompts
from trial import Trial

ABOUT = "`client.batch.run`, JSONL to JSONL, beside `create` in a loop; 100 at a time, answers of 2 kB, no latency"
UNIT = "row"
CONTESTANTS = ("ours",)
CASES = ("create", "run")
CONCURRENCY = 100
SERVER: tuple[str, ...] = ()


async def run(trial: Trial) -> dict[str, float]:
    rows = trial.amount(20_000)
    create = trial.contestant.client.chat.completions.create
    asked = requests(rows)

    async def ask() -> None:
        await create(**next(asked))

    await at_a_time(CONCURRENCY, trial.amount(1_000), ask)
    asked = requests(rows)
    if trial.case == "create":
        with Stopwatch() as watch:
            await at_a_time(CONCURRENCY, rows, ask)
        return watch.per(rows) | {"errors": 0}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        write_prompts(prompts, rows)
        with Stopwatch() as watch:
            await trial.contestant.bulk(prompts, answers)
        return watch.per(rows) | {"errors": rows - answered(answers, rows)}
