"""Rough weather: overloaded and rate-limited servers, a restart and an outage. ``python benchmarks/weather.py``

In each scenario every contestant has a server of its own, all of the same kind and all at the same time: bulk jobs
without end, and people who ask one question after another. Compared are this library with no settings, openai-python
with none, and independent retries around aiohttp at every concurrency of a small grid. Needs nginx.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import machine
from overload import table
from overload.scenarios import Scenario, scenarios
from overload.stage import Counts, Stage, set_up
from pair import HERE, without_proxies
from peers import interpreter

WIDTHS = (1, 2, 4, 8, 16, 24, 32, 64)
QUICK_WIDTHS = (2, 8, 24)
OPENAI_WIDTHS = (8, 32)
GRACE, QUICK_GRACE = 5.0, 2.0
"""Seconds for a person's last question after the end."""
STARTING = ENDING = 60.0


class ContestError(Exception):
    """A contestant gave no figures; the message is the last thing its process said."""


@dataclass(frozen=True)
class Trial:
    """One load of one contestant."""

    contestant: str
    load: str
    width: int = 0


def planned(*, quick: bool) -> list[Trial]:
    """The trials of every scenario."""
    widths = {"ours": (0,), "openai": OPENAI_WIDTHS, "independent": QUICK_WIDTHS if quick else WIDTHS}
    return [
        Trial(contestant, load, width)
        for contestant, tried in widths.items()
        for load, width in [("users", 0), *(("bulk", width) for width in tried)]
    ]


class Contestant:
    """The process of one contestant in one scenario."""

    def __init__(self, name: str, plan: dict[str, Any]) -> None:
        self._name = name
        self._plan = plan

    async def start(self) -> None:
        """Start it; it waits to be told to begin when this returns."""
        command = [str(interpreter(self._name)), "-m", "overload.trial", self._name, json.dumps(self._plan)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**without_proxies(), "PYTHONPATH": str(HERE)},
            limit=1 << 20,
        )
        # Read as it comes: a full pipe would stop the process.
        self._said = asyncio.create_task(self._read_errors())
        await self._line(STARTING)

    async def figures(self) -> dict[str, Any]:
        """Begin, and wait for the end."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        figures: dict[str, Any] = json.loads(await self._line(self._plan["seconds"] + self._plan["grace"] + ENDING))
        return figures

    async def _line(self, seconds: float) -> bytes:
        assert self._process.stdout
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ContestError(f"{self._name}: no result within {seconds:g} s") from None
        if not line:
            said = (await self._said).decode().strip().splitlines()
            raise ContestError(f"{self._name}: {said[-1][:200] if said else 'ended without a word'}")
        return line

    async def _read_errors(self) -> bytes:
        assert self._process.stderr
        return await self._process.stderr.read()

    async def stop(self) -> None:
        """End it, at once if it does not end by itself."""
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._said


async def run(scenario: Scenario, trials: list[Trial], *, quick: bool) -> dict[str, Any]:
    """All trials of one scenario, at the same time."""
    seconds = scenario.quick_seconds if quick else scenario.seconds
    grace = QUICK_GRACE if quick else GRACE
    contestants: dict[str, Contestant] = {}
    async with set_up(scenario, len(trials)) as stage, contextlib.AsyncExitStack() as stack:
        for name in dict.fromkeys(trial.contestant for trial in trials):
            asked = [
                {"load": trial.load, "width": trial.width, "url": front.url}
                for trial, front in zip(trials, stage.fronts, strict=True)
                if trial.contestant == name
            ]
            contestants[name] = Contestant(name, {"seconds": seconds, "grace": grace, "trials": asked})
        for contestant in contestants.values():
            stack.push_async_callback(contestant.stop)
        await asyncio.gather(*(contestant.start() for contestant in contestants.values()))
        stage.begin()
        happening = asyncio.create_task(stage.happen())
        counted = asyncio.create_task(_counted(stage, seconds))
        try:
            outcomes = await asyncio.gather(*(one.figures() for one in contestants.values()), return_exceptions=True)
            halves = await counted
        finally:
            for task in (happening, counted):
                task.cancel()
            await asyncio.gather(happening, counted, return_exceptions=True)
    told = dict(zip(contestants, outcomes, strict=True))
    return {
        "versions": {name: one["versions"] for name, one in told.items() if isinstance(one, dict)},
        "scenario": scenario.name,
        "about": scenario.about,
        "seconds": seconds,
        "unavoidable": scenario.unavoidable,
        "ceiling": scenario.ceiling,
        "trials": list(_rows(trials, told, halves)),
    }


async def _counted(stage: Stage, seconds: float) -> list[tuple[Counts, Counts]]:
    """What each server had answered after half of the time, and at its end."""
    await asyncio.sleep(seconds / 2)
    half = [front.counts() for front in stage.fronts]
    await asyncio.sleep(seconds / 2)
    return list(zip(half, [front.counts() for front in stage.fronts], strict=True))


def _rows(
    trials: list[Trial],
    outcomes: dict[str, dict[str, Any] | BaseException],
    halves: list[tuple[Counts, Counts]],
) -> Iterator[dict[str, Any]]:
    """The trials with what their clients and their servers have counted."""
    figures = {name: iter(one["figures"]) for name, one in outcomes.items() if isinstance(one, dict)}
    for trial, (half, end) in zip(trials, halves, strict=True):
        row = {"contestant": trial.contestant, "load": trial.load, "width": trial.width}
        if trial.contestant not in figures:
            yield {**row, "failure": str(outcomes[trial.contestant])}
            continue
        late = end.since(half)
        yield {
            **row,
            **next(figures[trial.contestant]),
            "attempts": end.attempts,
            "served": end.served,
            "late_attempts": late.attempts,
            "late_refused": late.attempts - late.served,
        }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run what was asked for."""
    others_before, all_before = machine.cpu_seconds()
    chosen = [one for one in scenarios(quick=options.quick) if not options.scenario or one.name in options.scenario]
    trials, left_out = [], []
    for trial in planned(quick=options.quick):
        try:
            interpreter(trial.contestant)
        except RuntimeError as error:
            left_out.append(str(error))
        else:
            trials.append(trial)
    outcomes = []
    for scenario in chosen:
        outcomes.append(asyncio.run(run(scenario, trials, quick=options.quick)))
        for words, kept in table.targets(outcomes[-1]):
            print(f"{scenario.name}: {words}{'' if kept else '  MISSED'}", file=sys.stderr)
    others, everything = machine.cpu_seconds()
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.description(),
        "quick": options.quick,
        "others": (others - others_before) / (everything - all_before),
        "left_out": list(dict.fromkeys(left_out)),
        "versions": outcomes[0]["versions"],
        "scenarios": outcomes,
    }


def main() -> None:
    """Read the command line, run, and write down what came out."""
    names = [scenario.name for scenario in scenarios(quick=False)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short scenarios and a small grid: three minutes, not ten")
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--name", help="of the files in results/; default: weather, or partial for a part or --quick")
    options = parser.parse_args()
    if shutil.which("nginx") is None:
        parser.error("nginx is needed: scripts/servers installs it")
    results = measure(options)
    stored = HERE / "results" / (options.name or ("partial" if options.quick or options.scenario else "weather"))
    stored.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    written = table.page(results)
    stored.with_suffix(".md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
