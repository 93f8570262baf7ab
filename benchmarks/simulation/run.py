"""Compare controllers of concurrency on traces of a hidden limit. See README.md beside this file."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.simulation import limits
from benchmarks.simulation.account import Account, Conditions, Outcome
from benchmarks.simulation.contestants import CONTESTANTS
from benchmarks.simulation.limits import LONG, Trace
from benchmarks.simulation.picture import Line, Panel, draw


class Job(NamedTuple):
    """One run: who, on what, under which conditions."""

    contestant: str
    trace: Trace
    conditions: Conditions
    seed: int
    clients: int = 1


def play(job: Job) -> Outcome:
    """Run one job."""
    return Account(job.trace, [CONTESTANTS[job.contestant]] * job.clients, job.conditions, job.seed).run()


Play = Callable[[list[Job]], list[Outcome]]

_ROWS: Final = [
    ("semaphore 50", False),
    ("AIMD", False),
    ("CUBIC", False),
    ("ours", False),
    ("ours", True),
]
_COLOURS: Final = {"ours": "#0b7a4b", "CUBIC": "#c77700", "AIMD": "#8a4fbf"}


def named(contestant: str, *, numbers: bool) -> str:
    """What a row is called."""
    if contestant != "ours":
        return contestant
    return "**ours, numbers in the body**" if numbers else "**ours, no numbers**"


def cell(outcomes: Iterable[Outcome]) -> str:
    """Utilisation and refusals, each a mean over the seeds."""
    both = list(outcomes)
    return f"{fmean(one.used for one in both):.1f} / {fmean(one.refused for one in both):.2f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main_table(play_all: Play, seeds: int) -> str:
    """Every controller on the five traces."""
    names = [trace.name for trace in limits.five(0)]
    rows = []
    for contestant, numbers in _ROWS:
        jobs = [
            Job(contestant, trace, Conditions(numbers=numbers), seed)
            for seed in range(seeds)
            for trace in limits.five(seed)
        ]
        outcomes = play_all(jobs)
        cells = [cell(outcomes[number :: len(names)]) for number in range(len(names))]
        rows.append([named(contestant, numbers=numbers), *cells, f"**{cell(outcomes)}**"])
    return table(["controller", *names, "mean"], rows)


def change_table(play_all: Play, seeds: int) -> str:
    """What a change of the limit costs; the worst of the seeds."""
    rows = []
    for contestant, numbers in _ROWS[1:]:
        conditions = Conditions(numbers=numbers)
        down, up, outage = (
            play_all([Job(contestant, trace, conditions, seed) for seed in range(seeds)])
            for trace in (limits.step(500, 100), limits.step(100, 500), limits.outage())
        )
        rows.append(
            [
                named(contestant, numbers=numbers),
                f"{max(one.refusals_between(LONG / 2, LONG / 2 + 120) for one in down)}",
                seconds(one.full_after(LONG / 2, 0.95, 500) for one in up),
                f"{max(one.refusals_between(LONG / 2, LONG / 2 + 120) for one in outage)}",
                seconds(one.full_after(LONG / 2 + 120, 0.95, 500) for one in outage),
            ],
        )
    head = [
        "controller",
        "500→100: 429s in 2 min",
        "100→500: 95 % full after",
        "outage of 120 s: 429s",
        "95 % full again after",
    ]
    return table(head, rows)


def seconds(values: Iterable[float]) -> str:
    """The slowest of the seeds."""
    slowest = max(values)
    return "never" if slowest == math.inf else f"{slowest:.0f} s"


def conditions_table(play_all: Play, seeds: int) -> str:
    """Ours in other worlds: mean of the five traces."""
    worlds = [
        ("round trip 0.1 s", {"round_trip": 0.1}),
        ("round trip 0.6 s", {"round_trip": 0.6}),
        ("headers only when finished", {"early_headers": False}),
        ("short requests, median 1 s, p99 7.5 s", {"median": 1.0, "p99": 7.5}),
        ("long requests, median 40 s, p99 300 s", {"median": 40.0, "p99": 300.0}),
        ("1 % stray 429s", {"stray": 0.01}),
    ]
    rows = []
    for name, changed in worlds:
        cells = []
        for contestant, numbers in _ROWS[2:]:
            conditions = Conditions(numbers=numbers, **changed)
            jobs = [Job(contestant, trace, conditions, seed) for seed in range(seeds) for trace in limits.five(seed)]
            cells.append(cell(play_all(jobs)))
        rows.append([name, *cells])
    for name, trace, changed, clients in [
        ("limit 2500 from cold, first 5 min", limits.fixed(2500, 300), {}, 1),
        ("eight nodes, each enforcing an eighth of 400", limits.fixed(400), {"nodes": 8}, 1),
        ("the same, each naming its own count", limits.fixed(400), {"nodes": 8, "told": "node"}, 1),
        ("the same, each claiming that all is full", limits.fixed(400), {"nodes": 8, "told": "full"}, 1),
        ("four processes joining each minute, limit 500", limits.fixed(500), {"join_every": 60.0}, 4),
    ]:
        cells = []
        for contestant, numbers in _ROWS[2:]:
            conditions = Conditions(numbers=numbers, **changed)
            outcomes = play_all([Job(contestant, trace, conditions, seed, clients) for seed in range(seeds)])
            fairness = f" (fairness {fmean(one.fairness for one in outcomes):.2f})" if clients > 1 else ""
            cells.append(cell(outcomes) + fairness)
        rows.append([name, *cells])
    return table(["condition", *(named(contestant, numbers=numbers) for contestant, numbers in _ROWS[2:])], rows)


def picture(play_all: Play) -> str:
    """The window over the hidden limit, first seed."""
    panels = []
    for trace in (*limits.five(0), limits.outage()):
        conditions = Conditions(numbers=True)
        outcomes = dict(
            zip(_COLOURS, play_all([Job(name, trace, conditions, 0) for name in _COLOURS]), strict=True),
        )
        ours = outcomes["ours"]
        lines = [
            Line(name, _COLOURS[name], [(second, size) for second, _, size in outcome.picture[::2]])
            for name, outcome in reversed(outcomes.items())
        ]
        title = f"{trace.name}: ours {ours.used:.1f} % of the limit used, {ours.refused:.2f} % of attempts refused"
        panels.append(Panel(title, [(second, limit) for second, limit, _ in ours.picture], lines, ours.refused_at))
    return draw(panels, "Window against hidden limit, numbers in the body of a 429, round trip 0.3 s, first seed")


def main() -> None:
    """Print the tables; write the picture if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of every cell (3)")
    parser.add_argument("--svg", type=Path, help="write the picture here")
    parser.add_argument("--processes", type=int, help="runs at a time (one for each core)")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:

        def play_all(jobs: list[Job]) -> list[Outcome]:
            return list(pool.map(play, jobs))

        print("# Controllers of concurrency against a hidden limit\n")
        print(f"Written by `benchmarks/simulation/run.py`, {arguments.seeds} seeds. How to read it: its README.\n")
        print("Per cent of an oracle's work done / per cent of attempts answered 429.\n")
        print(main_table(play_all, arguments.seeds))
        print("## After a change\n\nThe worst of the seeds.\n")
        print(change_table(play_all, arguments.seeds))
        print("## Other conditions\n\nMean of the five traces, where no other is named.\n")
        print(conditions_table(play_all, arguments.seeds))
        if arguments.svg:
            arguments.svg.write_text(picture(play_all), encoding="utf-8")


if __name__ == "__main__":
    main()
