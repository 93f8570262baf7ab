"""Streams of 200 chunks, 20 events a write, 50 streams at a time: what does a chunk cost when they come in bulk?

Paced, because a server that writes as fast as it can gets ahead of most clients, and then a read holds not 20 events
but all that is left of the stream. All streams are written to at once, as if the client had been busy, so that the
figure is that of chunks and not of wake-ups.
"""

from __future__ import annotations

from load import at_a_time, stream_job
from measure import Stopwatch, milliseconds
from trial import Trial

ABOUT = "streams of 200 chunks, 20 events a write, 50 streams at a time, at most 100,000 chunks/s"
UNIT = "chunk"
CONTESTANTS = ("ours", "tuned", "tuned_typed", "tutorial", "openai", "litellm", "protocol")
CONCURRENCY = 50
CHUNKS = 200
SERVER = ("--chunks", str(CHUNKS), "--events-per-write", "20", "--rate", "2000", "--together")


async def run(trial: Trial) -> dict[str, float]:
    count = trial.amount(1_500, slow=100)
    await at_a_time(CONCURRENCY, trial.amount(100, slow=50), stream_job(trial.contestant, CHUNKS, []))
    first_after: list[float] = []
    job = stream_job(trial.contestant, CHUNKS, first_after)
    with Stopwatch() as watch:
        await at_a_time(CONCURRENCY, count, job)
    return watch.per(count * CHUNKS) | milliseconds("first", first_after)
