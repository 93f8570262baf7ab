"""One measurement of one contestant in one scenario: a fresh process, which prints its figures as one JSON line."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import platform
import resource
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from measure import peak_resident_mb

SLOW = frozenset({"as_openai", "litellm", "openai"})
"""Contestants that get fewer requests, because they would otherwise take most of the time."""
REPORTED_LIBRARIES = ("aiohttp", "deepseek-async", "litellm", "msgspec", "openai", "orjson", "uvloop")


@dataclass(frozen=True)
class Trial:
    """What a scenario is told."""

    contestant: Any
    name: str
    case: str
    quick: bool

    def amount(self, full: int, *, slow: int | None = None) -> int:
        """How many requests to make, out of ``full`` ones for a long run."""
        wanted = slow if slow is not None and self.name in SLOW else full
        return max(wanted // 5, 1) if self.quick else wanted


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the scenario and add what every scenario reports."""
    scenario = importlib.import_module(f"scenarios.{options.scenario}")
    contestants = importlib.import_module(f"contestants.{options.contestant}")
    scheme = "https" if options.ca else "http"
    contestant = contestants.Contestant(
        f"{scheme}://127.0.0.1:{options.port}",
        scenario.CONCURRENCY,
        options.ca,
    )
    async with contestant:
        figures = await scenario.run(Trial(contestant, options.contestant, options.case, options.quick))
    return {**figures, "peak_rss_mb": peak_resident_mb()}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that this process could use."""
    found = {"python": platform.python_version()}
    for name in REPORTED_LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("contestant")
    parser.add_argument("--case", default="")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--core", type=int)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.ca:
        os.environ["SSL_CERT_FILE"] = options.ca
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    new_loop = importlib.import_module("uvloop").new_event_loop if options.loop == "uvloop" else None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        figures = runner.run(measure(options))
    print(json.dumps({"figures": figures, "versions": versions()}))


if __name__ == "__main__":
    main()
