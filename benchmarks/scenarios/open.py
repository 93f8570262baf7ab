"""5,000 slow streams held open: does every one live, and what memory does it take?"""

from __future__ import annotations

from held import memory_of_open_streams
from trial import Trial

ABOUT = "5,000 slow streams held open at once, an event every 3 s"
UNIT = "stream"
CONTESTANTS = ("ours", "tuned", "tuned_typed")
CONCURRENCY = 5_000
SERVER = ("--chunks", "0", "--events-per-write", "1", "--rate", "0.33")


async def run(trial: Trial) -> dict[str, float]:
    return await memory_of_open_streams(trial.contestant, trial.amount(CONCURRENCY))
