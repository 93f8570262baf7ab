"""CPU of calls through ``as_openai``, beside the same calls of openai-python alone.

    python benchmarks/openai_door.py [--repeats N]

User and system time of the asking process for a plain call and for a chunk of a stream, in fresh processes that take
turns; medians, and their ratio. Both use the openai-python of this environment.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from pathlib import Path

from pair import run_trial

SCENARIOS = ("plain", "stream")
CONTESTANTS = ("openai", "as_openai")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    options = parser.parse_args()
    for scenario in options.scenario or SCENARIOS:
        module = importlib.import_module(f"scenarios.{scenario}")
        taken: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for _ in range(options.repeats):
            for name, figures in taken.items():
                trial = run_trial(
                    Path(sys.executable),
                    scenario,
                    name,
                    server=module.SERVER,
                    simulator=False,
                    case="",
                    loop="uvloop",
                    quick=True,
                )
                figures.append(trial["figures"]["cpu_us"])
        alone, through = (statistics.median(taken[name]) for name in CONTESTANTS)
        print(f"{scenario}: µs CPU a {module.UNIT}: openai {alone:.1f}, as_openai {through:.1f}, {through / alone:.2f}")


if __name__ == "__main__":
    main()
