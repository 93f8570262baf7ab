"""1,000 live streams with 50 events a second each: does one core keep up, and how late does it see an event?"""

from __future__ import annotations

import asyncio
import time
from array import array

from held import hold_open
from measure import Stopwatch, milliseconds
from trial import Trial

ABOUT = "1,000 live streams, 50 events a second each, one event a write, watched for 10 s"
UNIT = "chunk"
CONTESTANTS = ("ours", "tuned_typed", "openai", "protocol")
CONCURRENCY = 1_000
RATE = 50
SETTLE_SECONDS = 3
SERVER = ("--chunks", "0", "--events-per-write", "1", "--rate", str(RATE))


async def run(trial: Trial) -> dict[str, float]:
    seconds = trial.amount(10)
    late_ns = array("q")

    def seen(content: str) -> None:
        late_ns.append(time.monotonic_ns() - int(content))

    async with hold_open(trial.contestant, CONCURRENCY, seen, patience=20) as held:
        # Opening 1,000 streams leaves a backlog, which is not what is asked here.
        await asyncio.sleep(SETTLE_SECONDS)
        begin = len(late_ns)
        with Stopwatch() as watch:
            await asyncio.sleep(seconds)
        window = [late / 1e9 for late in late_ns[begin:]]
    return {
        **watch.per(len(window)),
        **milliseconds("late", window),
        "cpu_share": watch.cpu / watch.wall,
        "kept_up": len(window) / (CONCURRENCY * RATE * watch.wall),
        "errors": held.errors,
    }
