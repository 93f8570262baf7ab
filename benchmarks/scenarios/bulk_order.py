"""20 shuffled groups of 60 rows that share 2,000 tokens: what does the order of prefixes hit, cost and take?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import groups
from measure import Stopwatch
from price import OFF_PEAK, dollars
from trial import Trial

ABOUT = (
    "`client.batch.run`, 20 shuffled groups of 60 rows that share 2,000 tokens, answers after 0.5 to 1.0 s, "
    "a cache of 128-token blocks that knows a prompt once its request has ended; so many at a time"
)
UNIT = "row"
CONTESTANTS = ("ours",)
CASES = tuple(f"{width} {order}" for width in (100, 200, 300) for order in ("prefix", "input"))
CONCURRENCY = 300
SIMULATOR = True
SERVER = ("--latency", "0.5", "--latency-spread", "0.5")

SHAPE = (20, 60, 2000)


async def run(trial: Trial) -> dict[str, float]:
    width, order = trial.case.split()
    rows = groups.grouped(*SHAPE)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        groups.write(rows, prompts)
        with Stopwatch() as watch:
            report = await trial.contestant.client.batch.run(
                prompts,
                answers,
                concurrency=int(width),
                order=order,
                thinking={"type": "disabled"},
            )
    return {
        "hits": report.progress.cached_tokens / groups.reachable(*SHAPE),
        # All at one hour, so that runs of different days compare.
        "dollars": dollars(report.progress, OFF_PEAK) / len(rows) * 1000,
        "seconds": watch.wall,
        "errors": len(rows) - report.ok,
        "units": len(rows),
    }
