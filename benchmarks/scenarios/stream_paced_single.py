"""100 streams of 200 chunks, one event a write, 5,000 events a second in all: what does it cost to wake for each?"""

from __future__ import annotations

from load import at_a_time, plain_job, stream_job
from measure import Stopwatch, milliseconds
from trial import Trial

ABOUT = "100 streams of 200 chunks, one event a write, 5,000 events a second in all"
UNIT = "chunk"
CONTESTANTS = ("ours", "tuned", "tuned_typed", "tutorial", "openai", "litellm", "protocol")
CONCURRENCY = 100
CHUNKS = 200
SERVER = ("--chunks", str(CHUNKS), "--events-per-write", "1", "--rate", "50")


async def run(trial: Trial) -> dict[str, float]:
    # Few connections, so that nearly every stream opens its own.
    await at_a_time(10, 20, plain_job(trial.contestant))
    first_after: list[float] = []
    job = stream_job(trial.contestant, CHUNKS, first_after)
    with Stopwatch() as watch:
        await at_a_time(CONCURRENCY, CONCURRENCY, job)
    return watch.per(CONCURRENCY * CHUNKS) | milliseconds("first", first_after)
