"""The benchmark runner: every scenario with every contestant, in fresh processes, interleaved.

Writes ``results/<name>.json`` and a Markdown page: ``RESULTS.md`` for a run of everything, whose figures go into the
project's README as well, ``results/<name>.md`` for any other.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import readme
import report
from pair import HERE, TrialError, run_trial
from peers import interpreter

SCENARIOS = (
    "plain",
    "stream",
    "stream_paced_single",
    "live",
    "open",
    "open_tls",
    "bulk_memory",
    "bulk_cpu",
    "bulk_order",
    "bulk_price",
)


@dataclass(frozen=True)
class Planned:
    """One trial to run."""

    repeat: int
    scenario: str
    contestant: str
    loop: str
    case: str


def plan(options: argparse.Namespace) -> Iterator[Planned]:
    """Every trial, in order: within a scenario, all contestants take their turn before any has its next."""
    for scenario in options.scenario or SCENARIOS:
        module = importlib.import_module(f"scenarios.{scenario}")
        chosen = [name for name in module.CONTESTANTS if not options.contestant or name in options.contestant]
        loops = getattr(module, "LOOPS", (options.loop,))
        for repeat in range(options.repeats):
            for loop in loops:
                for case in getattr(module, "CASES", ("",)):
                    for contestant in chosen:
                        yield Planned(repeat, scenario, contestant, loop, case)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the plan within the time allowed."""
    deadline = time.monotonic() + options.minutes * 60
    others_before, all_before = machine.cpu_seconds()
    runs: list[dict[str, Any]] = []
    versions: dict[str, dict[str, str]] = {}
    left_out: dict[str, None] = {}
    absent: set[str] = set()
    planned = list(plan(options))
    pythons: dict[str, Path] = {}
    for contestant in dict.fromkeys(trial.contestant for trial in planned):
        try:
            pythons[contestant] = interpreter(contestant)
        except RuntimeError as error:
            left_out[str(error)] = None
            absent.add(contestant)
    for number, trial in enumerate(planned, 1):
        if trial.contestant in absent:
            continue
        if time.monotonic() > deadline:
            left_out[f"the last {len(planned) - number + 1} trials: {options.minutes:g} minutes were over"] = None
            break
        facts = {
            "repeat": trial.repeat,
            "scenario": trial.scenario,
            "contestant": trial.contestant,
            "loop": trial.loop,
            "case": trial.case,
        }
        scenario = importlib.import_module(f"scenarios.{trial.scenario}")
        try:
            outcome = run_trial(
                pythons[trial.contestant],
                trial.scenario,
                trial.contestant,
                server=scenario.SERVER,
                simulator=getattr(scenario, "SIMULATOR", False),
                case=trial.case,
                loop=trial.loop,
                quick=options.quick,
            )
        except TrialError as error:
            runs.append({**facts, "failure": str(error)})
        else:
            versions.setdefault(trial.contestant, outcome.pop("versions"))
            runs.append({**facts, **outcome})
        print(f"[{number}/{len(planned)}] {_progress(runs[-1])}", file=sys.stderr)
    others, everything = machine.cpu_seconds()
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.description(),
        "quick": options.quick,
        "repeats": options.repeats,
        "loop": options.loop,
        "others": (others - others_before) / (everything - all_before),
        "left_out": list(left_out),
        "versions": versions,
        "runs": runs,
    }


def _progress(run: dict[str, Any]) -> str:
    what = " ".join(filter(None, (run["scenario"], run["contestant"], run["loop"], run["case"])))
    if "failure" in run:
        return f"{what}: failed: {run['failure']}"
    return what + ": " + ", ".join(f"{name} {value:,.2f}" for name, value in run["figures"].items())


def put_in_place(results: dict[str, Any], full: dict[str, Any]) -> dict[str, Any]:
    """The full run with other runs of some scenarios, and a note of when those were made."""
    again = dict.fromkeys(run["scenario"] for run in results["runs"])
    kept = [run for run in full["runs"] if run["scenario"] not in again]
    others = f"{results['date']}, while other processes took {results['others'] * 100:.0f} % of the CPU"
    noted = {**full.get("again", {}), **dict.fromkeys(again, others)}
    runs = sorted([*kept, *results["runs"]], key=lambda run: SCENARIOS.index(run["scenario"]))
    return {**full, "runs": runs, "again": noted}


def main() -> None:
    """Read the command line, run, and write down what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a fifth of the work, one repeat: minutes, not half an hour"
    )
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated")
    parser.add_argument("--contestant", action="append", help="only this one; may be repeated")
    parser.add_argument("--repeats", type=int, help="default: 5, or 1 with --quick")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--minutes", type=float, default=60, help="start no trial after so many minutes")
    parser.add_argument("--name", help="of the files in results/; default: full, or partial if anything is left out")
    parser.add_argument("--again", action="store_true", help="put the scenarios in place of those of the last full run")
    options = parser.parse_args()
    if options.again and (options.quick or options.contestant or not options.scenario):
        parser.error("--again wants scenarios, with all their contestants and all their work")
    known = {path.stem for path in (HERE / "contestants").glob("*.py")}
    for contestant in options.contestant or ():
        if contestant not in known:
            parser.error(f"no contestant {contestant!r}; there are {', '.join(sorted(known))}")
    whole = not (options.quick or options.scenario or options.contestant)
    options.name = options.name or ("full" if whole else "partial")
    options.repeats = options.repeats or (1 if options.quick else 5)
    results = run(options)
    if options.again:
        whole, options.name = True, "full"
        results = put_in_place(results, json.loads((HERE / "results/full.json").read_text()))
    stored = HERE / "results" / f"{options.name}.json"
    stored.parent.mkdir(exist_ok=True)
    stored.write_text(json.dumps(results, indent=1) + "\n")
    written = report.page(results)
    page = HERE / "RESULTS.md" if whole else stored.with_suffix(".md")
    page.write_text(written)
    if whole:
        readme.README.write_text(readme.rewritten(readme.README.read_text(), results))
    print(written)


if __name__ == "__main__":
    main()
