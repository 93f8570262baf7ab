"""One file of rows, answered by several processes of ``batch run --shard``."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes.account import LONGEST, SHORTEST, Account
from processes.fleet import Fleet, MemberError
from processes.ledger import percentile
from processes.scenarios import Scenario

LEARNING = 15.0
"""Seconds in which a process before them finds the limit, to be remembered."""
LONGEST_RUN = 6.0
"""Times as long as the ideal."""


async def shards(scenario: Scenario, account: Account, fleet: Fleet, seconds: float) -> dict[str, Any]:
    """As many rows as the limit allows in ``seconds``."""
    if scenario.remembered:
        await _learn(fleet)
    rows = round(seconds * scenario.limit / ((SHORTEST + LONGEST) / 2))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        lines = (json.dumps({"prompt": f"row/{number}"}) for number in range(rows))
        (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
        began = time.monotonic()
        async with asyncio.timeout(LONGEST_RUN * seconds), asyncio.TaskGroup() as group:
            ended = [
                group.create_task(_shard(folder, number, scenario.processes, fleet))
                for number in range(1, scenario.processes + 1)
            ]
        end = time.monotonic()
        answered = _lines(folder)
    took = sorted(task.result() - began for task in ended)
    ledger = account.ledger
    calls = [call for prompt, call in ledger.calls.items() if prompt.startswith("row/")]
    return {
        "seconds": end - began,
        "shortest_s": took[0],
        "longest_s": took[-1],
        "shards_s": took,
        "rows": rows,
        "lines": answered,
        "busy": ledger.busy(began, end),
        "refused": ledger.refused(began, end),
        "worst_second": ledger.worst_second(began, end),
        "attempts": ledger.attempts(began, end),
        "late_p99_s": percentile(ledger.late, 99),
        "most_attempts": max(call.attempts for call in calls),
    }


async def _learn(fleet: Fleet) -> None:
    await fleet.ready([{"name": "before", "kind": "bulk"}])
    fleet.begin()
    await asyncio.sleep(LEARNING)
    await fleet.figures()


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("out-*.jsonl"))


async def _shard(folder: Path, number: int, shards: int, fleet: Fleet) -> float:
    """When it ended."""
    output, shard = folder / f"out-{number}.jsonl", f"{number}/{shards}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deepseek_async", "batch", "run", str(folder / "in.jsonl"), "--output", str(output)),
        *("--shard", shard, "--quiet"),
        env=fleet.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise MemberError(f"shard {shard} ended with {process.returncode}: {said.decode()[-300:]}")
    return time.monotonic()
