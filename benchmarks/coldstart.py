"""Many callers at once on a process that knows nothing of its account. ``python benchmarks/coldstart.py [--users N]``

A server on loopback, with a hidden limit of 2,500, says at once that it takes a call and answers half a second later.
Measured is how much longer each caller waits than that: once as it is, and once with ``max_concurrency`` at the limit,
which shows what the machine itself needs. ``--save NAME`` keeps the waits as NAME in results/coldstart.json and draws
all that are kept there; the exit status is 1 if the target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from limited_server import LimitedServer
from waits_picture import draw

from deepseek_async import AsyncDeepSeek

LIMIT: Final = 2500
ANSWER: Final = 0.5
MOST: Final = {0.5: 0.5, 0.99: 1.2}
"""Seconds that so large a share of the callers may wait longer than the server takes."""
RESULTS: Final = Path(__file__).parent / "results" / "coldstart.json"


async def waits(users: int, **options: Any) -> tuple[list[float], int]:
    """Seconds that each caller waited beyond the server's own, in order, and the calls that were refused."""
    async with (
        LimitedServer(LIMIT, lambda: ANSWER) as server,
        AsyncDeepSeek(api_key="sk-benchmark", base_url=server.url, **options) as client,
    ):
        began = time.perf_counter()

        async def call(number: int) -> float:
            await client.chat.completions.create(
                model="deepseek-flash", messages=[{"role": "user", "content": f"user {number}"}]
            )
            return time.perf_counter() - began - ANSWER

        found = sorted(await asyncio.gather(*map(call, range(users))))
        return found, server.refused


def at(found: list[float], share: float) -> float:
    """The wait of which so large a share is no longer."""
    return found[min(len(found) - 1, int(share * len(found)))]


def main() -> int:
    """Print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--save", metavar="NAME", help="keep the waits under this name, and draw")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEEPSEEK_ASYNC_CACHE_DIR"] = folder
        found, refused = asyncio.run(waits(arguments.users))
        machine, _ = asyncio.run(waits(arguments.users, max_concurrency=LIMIT))
    for name, each in (("as it is", found), ("without a search", machine)):
        shares = ", ".join(f"p{share:.0%} {at(each, share):.2f} s".replace("%", "") for share in (0.5, 0.9, 0.99))
        print(f"{arguments.users} callers, {name}: {shares} behind the server")
    print(f"refused: {refused}")
    if arguments.save:
        kept: dict[str, list[float]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        kept[arguments.save] = [round(wait, 2) for wait in found]
        RESULTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")
        caption = f"{arguments.users} callers at once on a new process: seconds behind the server"
        RESULTS.with_suffix(".svg").write_text(draw(kept, caption), encoding="utf-8")
    late = any(at(found, share) > most + at(machine, share) for share, most in MOST.items())
    return int(late)


if __name__ == "__main__":
    raise SystemExit(main())
