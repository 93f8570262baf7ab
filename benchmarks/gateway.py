"""``deepseek-async serve`` beside litellm's proxy and a bare aiohttp relay: CPU, latency, memory, callers that leave.

    python benchmarks/gateway.py [--litellm PROGRAM] [--repeats N] [--only NAME] [--results]

Each gateway is a process on one core; the callers and the reference server share another. Turns are interleaved, and
figures are CPU time or medians, because a shared machine changes speed. ``--results`` writes results/gateway.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import machine
import uvloop
from gateways import contestants, figures
from gateways.contestants import Gateway
from gateways.leaving import Endings, leavers, upstream
from pair import reference_server

HERE = Path(__file__).parent
RESULT = HERE / "results" / "gateway.md"

# 50 reads a second and stream in both: enough to keep a gateway warm, and not so many that reads run together.
UPSTREAMS = {
    "plain": (),
    "twenty": ("--chunks", "8000", "--rate", "1000", "--events-per-write", "20"),
    "single": ("--chunks", "8000", "--rate", "50", "--events-per-write", "1"),
    "held": ("--chunks", "0", "--rate", "0.2"),
}
MEASURED = {
    "plain": "plain",
    "twenty": "twenty",
    "single": "single",
    "latency": "plain",
    "memory": "held",
    "leaver": "leaving",
}
"""What is measured, and the upstream that it needs."""

Measure = Callable[[str, dict[str, Gateway]], Awaitable[dict[str, float]]]


class Bench:
    """All figures by name, then by contestant, one for each turn."""

    def __init__(self, direct: dict[str, str], endings: Endings, *, quick: bool) -> None:
        self.taken: dict[str, dict[str, list[float]]] = {}
        self._direct = direct
        self._endings = endings
        self._less = 2 if quick else 1

    async def turn(self, what: str, name: str, gateways: dict[str, Gateway]) -> None:
        """Measure one thing of one contestant."""
        measured: Measure = getattr(self, f"_{what}")
        for figure, value in (await measured(name, gateways)).items():
            self.taken.setdefault(figure, {}).setdefault(name, []).append(value)

    async def _plain(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        count = (200 if name == "litellm" else 3200) // self._less
        return {"plain request, µs CPU": await figures.plain(gateways["plain"], count)}

    async def _twenty(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        streams = 2 if name == "litellm" else 50
        return {"chunk, 20 events a read, µs CPU": await figures.chunk(gateways["twenty"], streams, 2 / self._less)}

    async def _single(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        streams = 10 if name == "litellm" else 50
        return {"chunk, one event a read, µs CPU": await figures.chunk(gateways["single"], streams, 2 / self._less)}

    async def _latency(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        rate = 50 if name == "litellm" else 1000
        direct = figures.percentiles(await figures.latency(self._direct["plain"], "direct", rate, 1.5))
        through = figures.percentiles(await figures.latency(gateways["plain"].url, gateways["plain"].model, rate, 2))
        return {
            "added latency p50, ms": through[0] - direct[0],
            "added latency p99, ms": through[1] - direct[1],
        }

    async def _memory(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        count = 200 if name == "litellm" else 5000 // self._less
        if f"memory of {name}" in self.taken:
            return {}  # a heap that has been filled shows nothing the second time
        added, lost = await figures.memory(gateways["held"], count)
        self.taken[f"memory of {name}"] = {}
        return {f"open stream, KB ({5000 // self._less:,} of them; litellm 200)": added, "streams lost": lost}

    async def _leaver(self, name: str, gateways: dict[str, Gateway]) -> dict[str, float]:
        count = 200 if name == "litellm" else 2000 // self._less
        taken = await leavers(gateways["leaving"].url, gateways["leaving"].model, count, self._endings)
        ended = [seconds for seconds in taken if seconds != float("inf")]
        p50, p99 = figures.percentiles(ended) if ended else (float("nan"),) * 2
        return {
            "caller left, upstream ended p50, ms": p50,
            "caller left, upstream ended p99, ms": p99,
            "caller left, upstream not ended within 50 ms": sum(seconds > 0.05 for seconds in taken),
            "callers that left": count,
        }

    def table(self) -> str:
        """The medians, as Markdown."""
        names = sorted({name for taken in self.taken.values() for name in taken}, key=_ORDER.index)
        lines = [f"| | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        for figure, taken in self.taken.items():
            summed = figure.startswith(("caller left, upstream not", "callers that", "streams lost"))
            of = sum if summed else statistics.median
            cells = [_shown(of(taken[name])) if name in taken else "-" for name in names]
            if taken:
                lines.append(f"| {figure} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


_ORDER = ["ours", "bare", "litellm"]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def _with_former_lines(table: str) -> str:
    """Return the table with the lines of the last results that this run has not measured."""
    former = RESULT.read_text().splitlines() if RESULT.exists() else []
    measured = {line.split("|")[1] for line in table.splitlines()}
    kept = [line for line in former if line.startswith("| ") and line.split("|")[1] not in measured]
    return table + "".join(f"{line}\n" for line in kept if line.count("|") == table.splitlines()[0].count("|"))


async def measure(options: argparse.Namespace) -> str:
    """Start everything, take turns, and return the table."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    endings = Endings()
    async with AsyncExitStack() as open_:
        stack = open_.enter_context(ExitStack())
        needed = {MEASURED[what] for what in options.only or MEASURED}
        direct = {"leaving": await open_.enter_async_context(upstream(endings))} if "leaving" in needed else {}
        for name, arguments in UPSTREAMS.items():
            if name not in needed:
                continue
            process = stack.enter_context(reference_server(arguments, cores[-1], simulator=False))
            assert process.stdout
            direct[name] = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
        started = {
            "ours": stack.enter_context(contestants.ours(direct, cores[0], folder)),
            "bare": stack.enter_context(contestants.bare(direct, cores[0])),
        }
        if options.litellm is not None:
            started["litellm"] = stack.enter_context(contestants.litellm(direct, cores[0], folder, options.litellm))
        bench = Bench(direct, endings, quick=options.quick)
        for turn in range(options.repeats):
            for what in options.only or MEASURED:
                for name, gateways in started.items():
                    # litellm is so far away that two turns tell as much as many.
                    if name != "litellm" or turn < 2:
                        await bench.turn(what, name, gateways)
        return bench.table()


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", type=Path, help="litellm's program, in an environment of its own")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half of the work")
    parser.add_argument("--only", choices=MEASURED, action="append")
    parser.add_argument("--results", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load, host = os.getloadavg()[0], machine.description()
    table = uvloop.run(measure(options))
    print(table)
    if options.results:
        at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        RESULT.write_text(
            "# The gateway beside others\n\nWritten by `benchmarks/gateway.py`: medians of interleaved turns, the "
            f"lines of one `--only` from one run.\nLast run: {at}, {host}, {options.repeats} turns, "
            f"load average before it {load:.1f}.\n`bare` is an aiohttp.web relay without any protection, the floor.\n\n"
            f"{_with_former_lines(table)}"
        )
        sys.stderr.write(f"{RESULT} written\n")


if __name__ == "__main__":
    main()
