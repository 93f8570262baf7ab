"""Jobs and datasets on a real Ray cluster whose processes are killed: no row is lost, none is there twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pytest
from foreign_servers import ENVIRONMENTS, LISTED, Simulate
from peers import environment, requirements
from support.programs import environment_with
from support.servers import CANARY

from deepseek_async.batch.review.running_job import writer_of
from deepseek_async.simulator import Simulator

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SECONDS = 120.0  # the longest wait for anything; reached only when something is broken


class Cluster:
    """A Ray that the tests of this module share, and how to run programs on it."""

    def __init__(self, python: str, folder: Path) -> None:
        self._python = python
        self._folder = folder
        self.environment = environment_with(
            PATH=os.environ["PATH"],
            HOME=str(folder),
            LANG="C.UTF-8",
            PYTHONPATH=str(CHECKOUT),
            RAY_USAGE_STATS_ENABLED="0",
            RAY_AUTH_MODE="disabled",
            DEEPSEEK_API_KEY=CANARY,
            DEEPSEEK_BASE_URL="http://127.0.0.1:1",
        )

    def __enter__(self) -> Self:
        command = [self._python, str(HERE / "ray_cluster.py"), str(os.getpid()), str(self._folder)]
        subprocess.run(command, env=self.environment, check=True, timeout=SECONDS)
        self._wait_for("address")
        self.address = (self._folder / "address").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / "stop").touch()
        self._wait_for("stopped")

    def _wait_for(self, name: str) -> None:
        until = time.monotonic() + SECONDS
        while not (self._folder / name).exists():
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.05)

    async def start(self, *arguments: str, server: str, folder: Path | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(self._python, *arguments),
            env={**self.environment, "DEEPSEEK_BASE_URL": server},
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if ENVIRONMENTS is None:
        pytest.skip("ray comes as a package: INTEROP_ENVIRONMENTS=FOLDER has it installed there")
    python = str(environment(Path(ENVIRONMENTS) / "ray", requirements(LISTED)["ray"]))
    # A short path: those of Ray's sockets have 107 bytes at most.
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder, Cluster(python, Path(folder)) as made:
        yield made


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    said = (out + err).decode()
    assert CANARY not in said
    return process.returncode or 0, said


async def until(condition: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
    """Looks at files and counts of other processes, which tell nobody that they have changed."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            if process.returncode is not None:
                raise AssertionError(await ended(process))
            await asyncio.sleep(0.02)


def kill_a_writer(folder: Path) -> None:
    """Kills a process that writes one of the journals of a folder; Ray ends those itself that have nothing to do."""
    for lock in sorted(folder.glob("*.lock")):
        if found := re.search(r" pid (\d+)", lock.read_text()):
            with suppress(ProcessLookupError):
                os.kill(int(found[1]), signal.SIGKILL)
                return
    raise AssertionError("nobody writes")


async def names_when_nobody_writes(folder: Path) -> list[str]:
    """The rows that the journals of a folder hold, as soon as their writers have ended; a torn line is none."""
    async with asyncio.timeout(SECONDS):
        while any(writer_of(path) for path in journals(folder)):  # noqa: ASYNC110  a lock tells nobody that it is free
            await asyncio.sleep(0.05)
    lines = [line for path in journals(folder) for line in path.read_bytes().splitlines(keepends=True)]
    return [json.loads(line)["custom_id"] for line in lines if line.endswith(b"\n")]


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_prompts(path: Path, number: int) -> None:
    path.write_text("".join(f'{{"prompt": "Question {row}"}}\n' for row in range(number)))


def job(cluster: Cluster, folder: Path, *flags: str) -> tuple[str, ...]:
    files = (str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl"))
    return ("-m", "deepseek_async", "batch", "run", *files, "--ray", cluster.address, *flags)


async def slow(simulate: Simulate, **settings: Any) -> Simulator:
    return await simulate(latency=0.2, latency_spread=0.1, answer_tokens=10, record_limit=10_000, **settings)


async def test_a_job_whose_task_and_whose_driver_are_killed_goes_on_and_pays_for_no_more_than_was_in_flight(
    cluster: Cluster, simulate: Simulate, tmp_path: Path
):
    simulator = await slow(simulate)
    write_prompts(tmp_path / "in.jsonl", 300)
    command = job(cluster, tmp_path, "-c", "20")
    driver = await cluster.start(*command, server=simulator.base_url)
    await until(lambda: len(simulator.ledger) >= 60, driver)
    kill_a_writer(tmp_path / "out.jsonl.parts")
    await until(lambda: len(simulator.ledger) >= 150, driver)
    driver.kill()
    await ended(driver)
    assert not (tmp_path / "out.jsonl").exists()
    kept = await names_when_nobody_writes(tmp_path / "out.jsonl.parts")

    code, said = await ended(await cluster.start(*command, server=simulator.base_url))

    assert code == 0, said
    assert "300 of 300" in said
    assert f"· {300 - len(kept)} requests ·" in said
    lines = rows_of(tmp_path / "out.jsonl")
    assert [line["deepseek_async"]["index"] for line in lines] == list(range(300))
    assert len({line["custom_id"] for line in lines}) == 300
    assert len(kept) == len(set(kept)) >= 100
    assert len(simulator.ledger) < 400  # what was in flight, or not yet in a journal, when the two were killed
    assert not (tmp_path / "out.jsonl.parts").exists()


async def test_ctrl_c_stops_a_job_with_what_was_paid_for_in_its_output(
    cluster: Cluster, simulate: Simulate, tmp_path: Path
):
    simulator = await slow(simulate)
    write_prompts(tmp_path / "in.jsonl", 2000)
    command = job(cluster, tmp_path, "-c", "20", "--ray-parts", "2")
    driver = await cluster.start(*command, server=simulator.base_url)
    await until(lambda: len(simulator.ledger) >= 40, driver)
    driver.send_signal(signal.SIGINT)
    code, said = await ended(driver)

    assert code == 3, said
    assert "stopped: interrupted by SIGINT" in said
    assert "resume with: " in said
    lines = rows_of(tmp_path / "out.jsonl")
    assert len(lines) == len({line["custom_id"] for line in lines}) == len(simulator.ledger) < 2000
    assert sum(line["deepseek_async"]["cost"] for line in lines) == pytest.approx(simulator.ledger.dollars)


async def test_a_dataset_whose_actor_and_whose_driver_are_killed_goes_on_and_buys_no_row_again_that_is_in_a_journal(
    cluster: Cluster, simulate: Simulate, tmp_path: Path
):
    simulator = await slow(simulate, concurrency_limit=30)
    journal, out = tmp_path / "journal", tmp_path / "out.jsonl"
    command = (str(HERE / "ray_dataset.py"), cluster.address, "300", str(journal), str(out))
    driver = await cluster.start(*command, server=simulator.base_url)
    await until(lambda: len(simulator.ledger) >= 60, driver)
    kill_a_writer(journal)
    await until(lambda: len(simulator.ledger) >= 150, driver)
    driver.kill()
    await ended(driver)
    kept = await names_when_nobody_writes(journal)

    code, said = await ended(await cluster.start(*command, server=simulator.base_url))

    assert code == 0, said
    rows = rows_of(out)
    assert sorted(row["number"] for row in rows) == list(range(301))
    (bad,) = [row for row in rows if row["error"] is not None]
    assert bad["number"] == 300
    assert "the prompt is null" in bad["error"]
    assert all(row["answer"] and row["usage"]["completion_tokens"] for row in rows if row is not bad)
    everything = await names_when_nobody_writes(journal)
    assert len(everything) == len(set(everything)) == 301  # once in a journal, a row is not asked again
    assert len(kept) >= 100
    assert len(simulator.ledger) < 400  # what was in flight, or not yet in a journal, when the two were killed
    assert sum(row["cost"] for row in rows if row is not bad) <= simulator.ledger.dollars + 1e-9


async def test_the_example_runs(cluster: Cluster, simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    simulator = await simulate()
    monkeypatch.setitem(cluster.environment, "RAY_ADDRESS", cluster.address)
    example = str(CHECKOUT / "examples" / "ray_dataset.py")
    code, said = await ended(await cluster.start(example, server=simulator.base_url, folder=tmp_path))
    assert code == 0, said
    assert "Oslo - Answer to: One sentence about Oslo." in said
    assert len(simulator.ledger) == 10


async def test_an_address_where_nobody_answers_is_said_within_seconds(cluster: Cluster, tmp_path: Path):
    write_prompts(tmp_path / "in.jsonl", 1)
    began = time.monotonic()
    command = job(cluster, tmp_path)[:-1]
    code, said = await ended(await cluster.start(*command, "127.0.0.1:1", server="http://127.0.0.1:1"))

    assert code == 2
    assert "cannot connect to Ray at 127.0.0.1:1 (Connection refused): see `ray status`" in said
    assert time.monotonic() - began < 30  # Ray itself tries for minutes


def test_a_command_without_ray_says_what_to_install(tmp_path: Path):
    write_prompts(tmp_path / "in.jsonl", 1)
    hidden = "import sys; sys.modules['ray'] = None; from deepseek_async.__main__ import main; main()"
    command = ("batch", "run", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--ray", "auto")
    done = subprocess.run(
        [sys.executable, "-c", hidden, *command],
        env={"PATH": os.environ["PATH"], "DEEPSEEK_API_KEY": CANARY},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert 'Ray is not installed: pip install "deepseek-async[ray]"' in done.stderr
