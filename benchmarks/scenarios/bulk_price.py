"""The same prompts one at a time, 16 at a time and as a job: time and money for each.

Whoever calls one at a time, or 16, calls while at work: in peak hours. So does the job of the case ``batch``; the
job of ``batch, off-peak`` is started then too and waits for the off-peak hours, on a clock that skips the wait.
Called one after the other, prompts that begin alike find their beginning in the cache as well, so at the same hour
a job costs no less than that; it is the hours that it can choose.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import groups
from measure import Stopwatch
from price import PEAK, dollars
from trial import Trial

from deepseek_async.batch import Batch

ABOUT = "8 shuffled groups of 50 prompts that share 2,000 tokens, answers after 50 to 100 ms"
UNIT = "prompt"
CONTESTANTS = ("ours",)
CASES = ("one at a time", "16 at a time", "batch", "batch, off-peak")
CONCURRENCY = 100
SIMULATOR = True
SERVER = ("--latency", "0.05", "--latency-spread", "0.05")

SETTINGS: dict[str, Any] = {"thinking": {"type": "disabled"}}


class SkippingClock:
    """The time of day, which passes at once while somebody waits for it."""

    def __init__(self) -> None:
        self._now = PEAK

    def time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        await asyncio.sleep(0)


async def run(trial: Trial) -> dict[str, float]:
    rows = groups.grouped(8, max(trial.amount(50), 10), 2000)
    ask = _job if trial.case.startswith("batch") else _calls
    with Stopwatch() as watch:
        cost, answered = await ask(trial, rows)
    return {
        "ms_each": watch.wall / len(rows) * 1000,
        "per_s": len(rows) / watch.wall,
        "dollars": cost / len(rows) * 1000,
        "errors": len(rows) - answered,
        "units": len(rows),
    }


async def _calls(trial: Trial, rows: list[dict[str, Any]]) -> tuple[float, int]:
    width = 16 if trial.case.startswith("16") else 1
    create = trial.contestant.client.chat.completions.create
    waiting = iter(rows)
    costs: list[float] = []

    async def work() -> None:
        for row in waiting:
            done = await create(model="deepseek-flash", messages=row["messages"], **SETTINGS)
            costs.append(dollars(done.usage, PEAK))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(width):
            tasks.create_task(work())
    return sum(costs), len(costs)


async def _job(trial: Trial, rows: list[dict[str, Any]]) -> tuple[float, int]:
    client, clock = trial.contestant.client, SkippingClock()
    batch = Batch(client.chat.completions, CONCURRENCY, client.retry, clock=clock)
    window = "off-peak" if trial.case.endswith("off-peak") else "any"
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        groups.write(rows, prompts)
        report = await batch.run(prompts, answers, window=window, **SETTINGS)
    # The clock stands still while rows run, so all of them ran at the hour that it shows now.
    return dollars(report.progress, clock.time()), report.ok
