"""One run of one scenario of bulk or of people."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from typing import Any

from processes.account import LONGEST, SHORTEST, Account
from processes.events import falls, kills, stopped
from processes.fleet import Fleet, fleet
from processes.ledger import Ledger, percentile
from processes.listening import Application, listening
from processes.scenarios import SETTLING, SETTLING_USERS, Scenario
from processes.shards import shards

LATEST = 60.0
"""Seconds after the end in which the last users may be answered."""


async def trial(scenario: Scenario, seconds: float, shared: str, seed: int) -> dict[str, Any]:
    """The figures of one run."""
    if scenario.kind == "web":
        return await _compared(scenario, seconds, shared, seed)
    async with (
        Account(scenario.limit, numbers=scenario.numbers, seed=seed) as account,
        fleet(account.url, shared) as processes,
    ):
        if scenario.kind == "shards":
            return await shards(scenario, account, processes, seconds)
        await processes.ready([plan(scenario, number) for number in range(scenario.processes)])
        processes.begin()
        began = time.monotonic()
        if scenario.kind == "kills":
            return await kills(account, processes, plan(scenario, 0), seconds, seed)
        if scenario.kind == "stopped":
            return await stopped(account, processes, seconds)
        if scenario.kind == "falls":
            return await falls(account, processes, seconds)
        await asyncio.sleep(seconds)
        if scenario.kind == "users":
            return await _users(account.ledger, processes, began + SETTLING_USERS, began + seconds)
        return await _bulk(account.ledger, processes, began + SETTLING, began + seconds)


def plan(scenario: Scenario, number: int) -> dict[str, Any]:
    """What a process of the scenario is told to do."""
    kind = scenario.kind if scenario.kind in ("users", "web") else "bulk"
    return {"name": f"m{number}", "kind": kind, "users": scenario.users}


def counted(ledger: Ledger, start: float, end: float) -> dict[str, Any]:
    """What the account says of any load."""
    return {
        "busy": ledger.busy(start, end),
        "refused": ledger.refused(start, end),
        "worst_second": ledger.worst_second(start, end),
        "attempts": ledger.attempts(start, end),
        "most_attempts": ledger.most_attempts(),
        "late_p99_s": percentile(ledger.late, 99),
    }


def by_member(took: dict[str, list[float]]) -> dict[str, list[float]]:
    """p50 and p99 of each process."""
    return {name: [percentile(took[name], 50), percentile(took[name], 99)] for name in sorted(took)}


async def _bulk(ledger: Ledger, processes: Fleet, start: float, end: float) -> dict[str, Any]:
    told = await processes.figures()
    served, took = ledger.served(start, end), by_member(ledger.took(start, end))
    counts = [served[one.name] for one in processes.members]
    return {
        **counted(ledger, start, end),
        "served": counts,
        "spread": max(counts) / max(1, min(counts)),
        "by_process": took,
        "p50_s": percentile([p50 for p50, _ in took.values()], 50),
        "p99_s": max(p99 for _, p99 in took.values()),
        "failed": failures(told),
    }


async def _users(ledger: Ledger, processes: Fleet, start: float, end: float) -> dict[str, Any]:
    told = await processes.figures()
    answers = {name: [answer for answer in one["answers"] if start <= answer[2] < end] for name, one in told.items()}
    took = by_member({name: [ended - asked for asked, _, ended in some] for name, some in answers.items()})
    first = [first - asked for some in answers.values() for asked, first, _ in some]
    middles = [p50 for p50, _ in took.values()]
    return {
        **counted(ledger, start, end),
        "served": [len(some) for some in answers.values()],
        "by_process": took,
        "p50_ratio": max(middles) / min(middles),
        "p50_s": percentile(middles, 50),
        "p99_s": max(p99 for _, p99 in took.values()),
        "first_word_p50_s": percentile(first, 50),
        "first_word_p99_s": percentile(first, 99),
        "failed": failures(told),
    }


async def _compared(scenario: Scenario, seconds: float, shared: str, seed: int) -> dict[str, Any]:
    """The same users at one worker that has them all, and at several."""
    one, several = [await _web(scenario, count, seconds, shared, seed) for count in (1, scenario.processes)]
    return {**several, "p99_ratio": several["p99_s"] / one["p99_s"], "one_p99_s": one["p99_s"], "one": one}


async def _web(scenario: Scenario, count: int, seconds: float, shared: str, seed: int) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        account = await stack.enter_async_context(Account(scenario.limit, numbers=scenario.numbers, seed=seed))
        processes = await stack.enter_async_context(fleet(account.url, shared))
        sockets = stack.enter_context(listening(count, kernel=scenario.kernel))
        plans = [{**plan(scenario, number), "socket": one.fileno()} for number, one in enumerate(sockets)]
        await processes.ready(plans, tuple({one.fileno() for one in sockets}))
        processes.begin()
        # Streams of their own: numbers that the account draws too would give each worker answers of one length.
        chance = random.Random(f"arrivals {seed}")
        application = Application(sockets, random.Random(f"workers {seed}"))
        rate = scenario.load * scenario.limit / ((SHORTEST + LONGEST) / 2)
        began = time.monotonic()
        async with asyncio.timeout(seconds + LATEST), asyncio.TaskGroup() as group:
            due = began
            while (due := due + chance.expovariate(rate)) < began + seconds:
                await asyncio.sleep(due - time.monotonic())
                group.create_task(application.ask(due))
        start, end = began + SETTLING_USERS, began + seconds
        took = [ended - asked for asked, ended, _ in application.answers if asked >= start]
        users = Counter(name for _, _, name in application.answers)
        each = {name: [ended - asked for asked, ended, by in application.answers if by == name] for name in users}
        return {
            **counted(account.ledger, start, end),
            "by_process": by_member(each),
            "users": dict(sorted(users.items())),
            "largest_share": max(users.values()) / max(1, len(application.answers)),
            "p50_s": percentile(took, 50),
            "p99_s": percentile(took, 99),
            "failed": application.failed + failures(await processes.figures()),
        }


def failures(told: dict[str, dict[str, Any]]) -> int:
    """Calls and rows that ended with an error."""
    return sum(sum(one["failures"].values()) for one in told.values())
