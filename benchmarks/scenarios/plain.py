"""Plain requests, 100 at a time, against a server without latency: what does a request cost the client?"""

from __future__ import annotations

from load import at_a_time, plain_job
from measure import Stopwatch
from trial import Trial

ABOUT = "plain requests, 100 at a time, answers of 2 kB, no latency"
UNIT = "request"
CONTESTANTS = ("ours", "tuned", "tutorial", "openai", "litellm", "protocol")
CONCURRENCY = 100
SERVER: tuple[str, ...] = ()


async def run(trial: Trial) -> dict[str, float]:
    count = trial.amount(10_000, slow=1_000)
    job = plain_job(trial.contestant)
    await at_a_time(CONCURRENCY, trial.amount(1_000, slow=200), job)
    with Stopwatch() as watch:
        await at_a_time(CONCURRENCY, count, job)
    return watch.per(count)
