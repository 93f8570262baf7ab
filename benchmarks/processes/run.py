"""Several processes of one account against a hidden limit. ``python benchmarks/processes/run.py --scenario users``

The account is a server of this process on loopback, and what it counts is what is reported; each client is a process
of its own. Scenarios run one after another.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
# In the place of this folder, whose names are those of modules of others too.
sys.path[0] = str(HERE)

import machine  # noqa: E402
from processes.fleet import MemberError, redis  # noqa: E402
from processes.scenarios import FIGURES, Scenario, scenarios  # noqa: E402
from processes.table import ALONE, page  # noqa: E402
from processes.trial import trial  # noqa: E402

STORED = HERE / "results" / "processes.json"


def measure(scenario: Scenario, options: argparse.Namespace, shared: str) -> list[dict[str, Any]]:
    """All runs of one scenario."""
    seconds = options.seconds or scenario.seconds
    runs = []
    for number in range(options.runs):
        load = os.getloadavg()[0]
        try:
            figures = {**asyncio.run(trial(scenario, seconds, shared, seed=number)), "load": load}
        except* (MemberError, TimeoutError) as errors:
            print(f"{scenario.name}, run {number + 1}: no figures: {errors.exceptions[0]}", file=sys.stderr)
        else:
            shown = (f"{about.words} {about.text(figures[name])}" for name, about in FIGURES.items() if name in figures)
            print(f"{scenario.name}, run {number + 1} (load average {load:.1f}): {', '.join(shown)}", file=sys.stderr)
            runs.append({"of_seconds": seconds, **figures})
    return runs


def stored(path: Path) -> dict[str, Any]:
    """What has been measured before."""
    if not path.exists():
        return {"labels": {}}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def merge(results: dict[str, Any], label: str, about: dict[str, Any], measured: dict[str, Any]) -> None:
    """Put new runs in the place of the label's last ones."""
    before = results["labels"].get(label, {})
    kept = {**before.get("scenarios", {}), **measured}
    loads = [run["load"] for runs in kept.values() for run in runs if "load" in run]
    results["labels"][label] = {**about, "loads": loads or [0.0], "scenarios": kept}


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [scenario.name for scenario in scenarios()]
    parser.add_argument("--scenario", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--seconds", type=float, help="of each run; default: the scenario's own, mostly 60")
    parser.add_argument("--runs", type=int, default=3, help="of each scenario (3)")
    parser.add_argument(
        "--shared",
        metavar="MODE",
        default="machine",
        help="what the processes find in DEEPSEEK_ASYNC_SHARED: machine, off, a redis:// URL, or redis for a "
        "redis-server of our own; default: machine",
    )
    parser.add_argument("--label", help=f"the column of the table; default: shared, or {ALONE} with --shared off")
    parser.add_argument("--json", type=Path, help="add the figures to this file")
    parser.add_argument("--results", action="store_true", help="add them to results/processes.json, and write the page")
    options = parser.parse_args()
    if options.seconds is not None and options.seconds < 15:
        parser.error(f"--seconds is {options.seconds:g}; the first 10 are not measured: at least 15")
    options.label = options.label or (ALONE if options.shared == "off" else "shared")
    return options


def main() -> None:
    """Read the command line, run, and write down what came out."""
    options = parsed()
    paths = [*([STORED] if options.results else []), *([options.json] if options.json else [])]
    results = stored(paths[0]) if paths else {"labels": {}}
    others_before, all_before = machine.cpu_seconds()
    chosen = [one for one in scenarios() if not options.scenario or one.name in options.scenario]
    with redis() if options.shared == "redis" else contextlib.nullcontext(options.shared) as shared:
        for scenario in chosen:
            runs = measure(scenario, options, shared)
            others, everything = machine.cpu_seconds()
            about = {
                "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "machine": machine.description(),
                "sharing": f"DEEPSEEK_ASYNC_SHARED={options.shared}",
                "others": (others - others_before) / (everything - all_before),
            }
            merge(results, options.label, about, {scenario.name: runs} if runs else {})
            # After each scenario: a long run that is broken off keeps what it has.
            for path in paths:
                path.write_text(json.dumps(results, indent=1) + "\n")
    print(page(results))
    if options.results:
        STORED.with_suffix(".md").write_text(page(results))


if __name__ == "__main__":
    main()
