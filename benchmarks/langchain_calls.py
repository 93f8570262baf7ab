"""What a call through LangChain costs in processor time: this library's ChatDeepSeek against langchain-deepseek's.

``python benchmarks/langchain_calls.py PYTHON`` with the Python of an environment that has ``langchain-deepseek`` and
what this package needs, such as ``langchain`` of ``tests/interop/environments.txt``. All ask one server in one process,
in turn, ``--rounds`` times. The figures are medians over the rounds of user and system time of that process,
all threads. "Nothing" is a model that answers at once: what LangChain itself costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHUNKS = 40
TARGET = 0.2
WARM_UP = 10
QUESTION = "Name three rivers of Europe."


def main() -> None:
    """Read the command line, and measure or have a process measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="of an environment with langchain-deepseek")
    parser.add_argument("--calls", type=int, default=40, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        _measure(options)
        return
    cores = sorted(os.sched_getaffinity(0))
    server = [sys.executable, str(HERE / "server.py"), "--chunks", str(CHUNKS), "--core", str(cores[-1])]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        address = f"http://127.0.0.1:{json.loads(child.stdout.readline())['port']}"
        command = [str(options.python), __file__, str(options.python), "--measure", address]
        command += ["--calls", str(options.calls), "--rounds", str(options.rounds)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent), "LANGSMITH_TRACING": "false"}
        try:
            subprocess.run(command, env=environment, check=True)
        finally:
            child.communicate()


def _measure(options: argparse.Namespace) -> None:
    from langchain_core.language_models import FakeListChatModel
    from langchain_deepseek import ChatDeepSeek as Theirs

    from deepseek_async.integrations.langchain import ChatDeepSeek as Ours

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the server has the other one
    settings: Any = {"model": "deepseek-flash", "api_key": "sk-benchmark-0123456789", "base_url": options.measure}
    models = {
        "theirs": Theirs(**settings),
        "ours": Ours(**settings),
        "nothing": FakeListChatModel(responses=["Seine."]),
    }
    print(f"{'':10}{'theirs':>10}{'ours':>10}{'nothing':>10}   µs a call; ours / theirs (target {TARGET})")
    for name, way in WAYS.items():
        found: dict[str, list[float]] = {model: [] for model in models}
        for model in models.values():
            way(model, WARM_UP)
        for _ in range(options.rounds):
            for key, model in models.items():
                began = time.process_time()
                way(model, options.calls)
                found[key].append((time.process_time() - began) / options.calls * 1e6)
        medians = {key: statistics.median(values) for key, values in found.items()}
        ratio = statistics.median(ours / theirs for ours, theirs in zip(found["ours"], found["theirs"], strict=True))
        print(f"{name:10}" + "".join(f"{value:10.0f}" for value in medians.values()) + f"   {ratio:.2f}")


def _invoke(model: Any, calls: int) -> None:
    for _ in range(calls):
        model.invoke(QUESTION)


def _ainvoke(model: Any, calls: int) -> None:
    async def ask() -> None:
        for _ in range(calls):
            await model.ainvoke(QUESTION)

    _loop.run_until_complete(ask())


def _stream(model: Any, calls: int) -> None:
    for _ in range(calls // 4 or 1):
        for _ in model.stream(QUESTION):
            pass


def _astream(model: Any, calls: int) -> None:
    async def ask() -> None:
        for _ in range(calls // 4 or 1):
            async for _ in model.astream(QUESTION):
                pass

    _loop.run_until_complete(ask())


def _abatch(model: Any, calls: int) -> None:
    _loop.run_until_complete(model.abatch([QUESTION] * calls))


# One loop for all rounds: a client of langchain-deepseek does not outlive the loop that it was used on.
_loop = asyncio.new_event_loop()
WAYS: dict[str, Callable[[Any, int], None]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream / 4": _stream,
    "astream / 4": _astream,
    "abatch": _abatch,
}


if __name__ == "__main__":
    main()
