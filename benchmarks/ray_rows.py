"""What a row costs in processor time on Ray: the actors of a dataset against one ``batch run`` of the same rows.

``python benchmarks/ray_rows.py PYTHON`` with the Python of an environment that has ``ray[data]`` and what this package
needs. Three programs in turn, ``--rounds`` times: ``batch run``; a dataset whose rows are answered; the same dataset
with a function that answers nothing, which is what Ray itself costs. Processor time of Ray is that of all of its
processes from the first block to the last, without their start; the simulator's is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIMULATOR = ("--latency", "0.3", "--latency-spread", "0.2", "--answer-tokens", "20", "--reasoning-tokens", "0")
TARGET = 1.5


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="of an environment with ray[data]")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray") as folder, _simulator() as address:
        found: dict[str, list[dict[str, float]]] = {"batch run": [], "answered": [], "nothing": []}
        for _ in range(options.rounds):
            for name, rounds in found.items():
                rounds.append(_measured(name, options, Path(folder), address))
                print(name, json.dumps(rounds[-1]), flush=True)
    one = _median(found["batch run"], "cpu")
    actors, all_of_ray = _median(found["answered"], "actors"), _median(found["answered"], "cpu")
    nothing = _median(found["nothing"], "cpu")
    print(f"batch run             {one * 1e6:6.0f} µs a row")
    print(f"actors                {actors * 1e6:6.0f} µs a row, {actors / one:.2f} x (target {TARGET})")
    print(f"Ray and all           {all_of_ray * 1e6:6.0f} µs a row, of which Ray without us {nothing * 1e6:.0f}")


class _simulator:  # noqa: N801  a context, not a thing
    def __enter__(self) -> str:
        command = [sys.executable, "-m", "deepseek_async.simulator", "--until-stdin-closes", *SIMULATOR]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._child.stdout is not None
        return str(json.loads(self._child.stdout.readline())["base_url"])

    def __exit__(self, *_: object) -> None:
        self._child.communicate()


def _median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(one[name] for one in rounds)


def _measured(name: str, options: argparse.Namespace, folder: Path, address: str) -> dict[str, float]:
    """Seconds of processor time a row, in all and of the actors, and seconds in all."""
    work = Path(tempfile.mkdtemp(dir=folder))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(HERE.parent),
        "DEEPSEEK_API_KEY": "sk-benchmark-0123456789",
        "DEEPSEEK_BASE_URL": address,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    before, began = _children(), time.monotonic()
    if name == "batch run":
        source = work / "in.jsonl"
        source.write_text("".join(f'{{"prompt": "Question {row}"}}\n' for row in range(options.rows)))
        command = [str(options.python), "-m", "deepseek_async", "batch", "run", str(source), "-o"]
        subprocess.run([*command, str(work / "out.jsonl"), "--quiet"], env=environment, check=True)
        spent = (_children() - before) / options.rows
        return {"cpu": spent, "seconds": time.monotonic() - began}
    command = [str(options.python), str(HERE / "ray_rows.py"), "--inside", name, str(options.rows)]
    done = subprocess.run(
        [*command, str(options.actors), str(work)], env=environment, check=True, stdout=subprocess.PIPE
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def inside(name: str, rows: int, actors: int, work: Path) -> None:
    """In the environment with Ray: run one dataset, and print what it took."""
    import ray
    import ray.data

    from deepseek_async.integrations.ray import Answers, answered
    from deepseek_async.integrations.ray import answers as module

    class Nothing:
        """Adds columns as Answers does, and waits as long for a block as a server would take."""

        def __init__(self, **_: Any) -> None:
            self._clock = _Clock(work)

        def __call__(self, batch: Any) -> Any:
            from deepseek_async.batch.reused_answers import ReusedAnswer
            from deepseek_async.integrations.ray.columns import with_answers

            time.sleep(0.4)
            result = with_answers(batch, [ReusedAnswer(1, "x" * 80, None, None, 0.0)] * batch.num_rows, "")
            self._clock.note()
            return result

    class Timed(Answers):
        """Notes the processor time of its process."""

        def __init__(self, **arguments: Any) -> None:
            clock = self._clock = _Clock(work)
            super().__init__(**arguments)
            clock.note()

        def __call__(self, batch: Any) -> Any:
            result = super().__call__(batch)
            self._clock.note()
            return result

    module.Answers = Timed if name == "answered" else Nothing  # type: ignore[misc]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(work / "r"),
        log_to_driver=False,
    )
    try:
        dataset = ray.data.from_items([{"prompt": f"Question {row}"} for row in range(rows)]).materialize()
        before, own, began = _of_all(os.getpid()), time.process_time(), time.monotonic()
        ended = answered(dataset, actors=actors, journal=str(work / "journal")).materialize()
        seconds = time.monotonic() - began
        assert ended.count() == rows
        others = sum(
            spent - before.get(process, 0.0)
            for process, spent in _of_all(os.getpid()).items()
            if not (work / f"cpu-{process}").exists()
        )
        in_actors = [json.loads(path.read_text()) for path in work.glob("cpu-*")]
        of_actors = sum(last - first for first, last in in_actors)
        own = time.process_time() - own
    finally:
        ray.shutdown()
    spent = {"cpu": (others + of_actors + own) / rows, "actors": of_actors / rows, "driver": own / rows}
    print(json.dumps({**spent, "seconds": seconds}))


class _Clock:
    """Writes down the processor time of this process, at first and at last, for when it has been ended."""

    def __init__(self, work: Path) -> None:
        self._path = work / f"cpu-{os.getpid()}"
        self._first = time.process_time()

    def note(self) -> None:
        self._path.write_text(json.dumps([self._first, time.process_time()]))


def _of_all(root: int) -> dict[int, float]:
    """Processor time of all processes below ``root`` that are there."""
    ticks, children, spent = os.sysconf("SC_CLK_TCK"), dict[int, list[int]](), dict[int, float]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        process = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(process)
        spent[process] = (int(fields[11]) + int(fields[12])) / ticks
    found, due = dict[int, float](), list(children.get(root, []))
    while due:
        process = due.pop()
        found[process] = spent[process]
        due += children.get(process, [])
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    else:
        main()
