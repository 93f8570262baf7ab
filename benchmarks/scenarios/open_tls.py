"""2,000 slow streams held open over TLS 1.3, on both event loops: what memory does TLS add?"""

from __future__ import annotations

from held import memory_of_open_streams
from trial import Trial

ABOUT = "2,000 slow streams held open over TLS 1.3, an event every 3 s"
UNIT = "stream"
CONTESTANTS = ("ours", "tuned")
LOOPS = ("uvloop", "asyncio")
CONCURRENCY = 2_000
SERVER = ("--chunks", "0", "--events-per-write", "1", "--rate", "0.33", "--tls")


async def run(trial: Trial) -> dict[str, float]:
    return await memory_of_open_streams(trial.contestant, trial.amount(CONCURRENCY))
