"""One contestant's trials of one scenario, all at the same time: ``python -m overload.trial CONTESTANT PLAN``.

Prints ``ready`` and begins when a line comes in, so that the loading of libraries is in nobody's figures; prints
what came out as one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import statistics
import sys
import time
from collections import Counter
from typing import Any

from trial import versions

USERS = 16
THOUGHT = 0.25
"""Seconds between an answer and the next question of the same person."""
AFTER_A_FAILURE = 1.0


class Bulk:
    """Rows without end."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._by_second: Counter[int] = Counter()
        self._failures: Counter[str] = Counter()

    async def run(self, client: Any, seconds: float, grace: float) -> None:
        del grace
        began = time.monotonic()

        def ended(error: Exception | None) -> None:
            if error is None:
                self._by_second[int(time.monotonic() - began)] += 1
            else:
                self._failures[type(error).__name__] += 1

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await client.bulk(self._width, ended)

    def figures(self) -> dict[str, Any]:
        by_second = [self._by_second[second] for second in range(max(self._by_second, default=-1) + 1)]
        return {"answered": sum(by_second), "failures": dict(self._failures), "by_second": by_second}


class Users:
    """People who ask, read and ask again."""

    def __init__(self) -> None:
        self._waited: list[float] = []
        self._failures: Counter[str] = Counter()

    async def run(self, client: Any, seconds: float, grace: float) -> None:
        end = time.monotonic() + seconds

        async def user(name: int) -> None:
            await asyncio.sleep(name / USERS)
            while (asked := time.monotonic()) < end:
                try:
                    async with asyncio.timeout(end + grace - asked):
                        await client.ask(f"question of {name}")
                except Exception as error:  # noqa: BLE001  whatever a client raises is what its user gets
                    self._failures[type(error).__name__] += 1
                    await asyncio.sleep(AFTER_A_FAILURE)
                else:
                    self._waited.append(time.monotonic() - asked)
                    await asyncio.sleep(THOUGHT)

        async with asyncio.TaskGroup() as group:
            for name in range(USERS):
                group.create_task(user(name))

    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"answered": len(self._waited), "failures": dict(self._failures)}
        if len(self._waited) > 1:
            ranks = statistics.quantiles(self._waited, n=100, method="inclusive")
            figures |= {"p50_s": ranks[49], "p99_s": ranks[98]}
        return figures


async def contest(name: str, plan: dict[str, Any]) -> None:
    """Run all trials of ``plan`` and print their figures in its order."""
    module = importlib.import_module(f"overload.{name}")
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(module.Client(trial["url"])) for trial in plan["trials"]]
        loads = [Users() if trial["load"] == "users" else Bulk(trial["width"]) for trial in plan["trials"]]
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        async with asyncio.TaskGroup() as group:
            for client, load in zip(clients, loads, strict=True):
                group.create_task(load.run(client, plan["seconds"], plan["grace"]))
        print(json.dumps({"versions": versions(), "figures": [load.figures() for load in loads]}), flush=True)


if __name__ == "__main__":
    asyncio.run(contest(sys.argv[1], json.loads(sys.argv[2])))
