"""Signals, deaths and a second run: what is paid for is kept, and each row ends up with one line."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import SECONDS, CommandLine, Serve, interrupt
from support.waiting import until

from deepseek_async.cli import interrupts as module
from deepseek_async.cli.interrupts import Interrupts
from deepseek_async.simulator import Simulator

RUN = ("batch", "run", "in.jsonl", "-o", "out.jsonl")


async def until_served(simulator: Simulator, number: int) -> None:
    async with asyncio.timeout(SECONDS):
        await simulator.until(lambda now: now.served >= number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_after_one_signal_rows_in_flight_are_finished_and_the_next_run_does_the_rest(
    command: CommandLine,
    serve: Serve,
    number: signal.Signals,
):
    simulator = await serve(latency=0.05)
    command.prompts(1000)
    process = await command.start(*RUN, "-c", "100")
    await until_served(simulator, 200)
    process.send_signal(number)
    stopped = await command.end_of(process)
    written = len(command.lines())

    assert (stopped.code, stopped.out) == (3, "")
    assert f"stopped: interrupted by {number.name}" in stopped.err
    assert written == simulator.statistics().served < 1000
    assert simulator.statistics().aborted == 0
    last = stopped.err.splitlines()[-1]
    assert last.startswith("resume with: ")
    assert last.endswith("-m deepseek_async batch run in.jsonl -o out.jsonl -c 100")

    finished = await command.run(*RUN, "-c", "100")

    assert finished.code == 0
    assert f"{written:,} resumed" in finished.err
    assert sorted(command.names()) == sorted(f"row-{row}" for row in range(1000))
    assert simulator.statistics().served == 1000  # no row was paid for twice


async def test_rows_that_wait_for_an_overloaded_server_hold_up_nobody_and_stay_pending(
    command: CommandLine, serve: Serve
):
    simulator = await serve(fault_rate=1.0, fault_kinds=("overloaded",))
    command.prompts(30)
    process = await command.start(*RUN)
    await simulator.until(lambda now: now.faulted >= 8)
    interrupt(process)
    stopped = await command.end_of(process)

    assert stopped.code == 3
    assert not command.lines()


async def test_a_job_whose_last_rows_end_after_the_signal_has_done_all_and_says_so(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1.0)
    command.prompts(10)
    process = await command.start(*RUN, "-c", "10")
    await simulator.until(lambda now: now.in_flight == 10)
    interrupt(process)
    ended = await command.end_of(process)

    assert (ended.code, len(command.lines())) == (0, 10)
    assert "stopped" not in ended.err


async def test_after_a_kill_the_next_run_does_the_rest(command: CommandLine, serve: Serve):
    await serve(latency=0.05)
    command.prompts(1000)
    process = await command.start(*RUN, "-c", "50")
    await until(lambda: command.written() > 100, seconds=SECONDS)
    process.kill()
    await process.communicate()

    finished = await command.run(*RUN, "-c", "200")

    assert process.returncode == -signal.SIGKILL
    assert finished.code == 0
    assert sorted(command.names()) == sorted(f"row-{row}" for row in range(1000))


async def test_a_second_signal_cancels_what_is_in_flight(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1000.0)
    command.prompts(30)
    process = await command.start(*RUN, "-c", "10")
    assert process.stderr is not None
    await simulator.until(lambda now: now.in_flight == 10)
    interrupt(process)
    said = await process.stderr.readline()
    interrupt(process)
    ended = await command.end_of(process)

    assert said.startswith(b"SIGINT: finishing 10 rows in flight, for at most 30 s; repeat to cancel them")
    assert ended.code == 3
    assert "interrupted by SIGINT; the rows in flight were cancelled" in ended.err
    assert command.lines() == []
    await simulator.until(lambda now: now.aborted == 10)


async def test_the_simulator_of_a_run_is_not_reached_by_its_ctrl_c_and_ends_with_it(command: CommandLine):
    command.prompts(1000)
    process = await command.start(*RUN, "--simulate", "-c", "20", start_new_session=True)
    await until(lambda: command.written() > 20, seconds=SECONDS)
    simulator = children_of(process.pid)
    # To the whole group, as a terminal does it.
    os.killpg(process.pid, signal.SIGINT)
    ended = await command.end_of(process)

    assert ended.code == 3
    assert "0 failed" in ended.err
    assert len(simulator) == 1
    await until(lambda: not exists(simulator[0]), seconds=SECONDS)


async def test_the_simulator_of_a_run_that_is_killed_leaves_no_orphan(command: CommandLine):
    command.prompts(1000)
    process = await command.start(*RUN, "--simulate", "-c", "20")
    await until(lambda: command.written() > 0, seconds=SECONDS)
    (simulator,) = children_of(process.pid)
    process.kill()
    await process.communicate()

    await until(lambda: not exists(simulator), seconds=SECONDS)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_output_that_another_run_writes_gives_code_4_and_is_left_alone(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1000.0)
    command.prompts(3)
    first = await command.start(*RUN)
    await simulator.until(lambda now: now.in_flight == 3)

    second = await command.run(*RUN)

    assert (second.code, second.out) == (4, "")
    assert second.err.startswith("error: another run is writing out.jsonl (")
    assert f"pid {first.pid}" in second.err
    assert second.err.count("\n") == 1
    assert simulator.statistics().requests == 3


class StuckJob:
    """A job of which nothing is known but that it was asked to stop."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def stop(self, reason: str) -> None:
        self.reasons.append(reason)

    def progress(self) -> Any:
        class Now:
            in_flight = 3

        return Now


async def test_a_third_signal_ends_the_process_at_once_with_the_resumable_code(monkeypatch: pytest.MonkeyPatch):
    ends: list[int] = []
    monkeypatch.setattr(module.os, "_exit", ends.append)
    job = StuckJob()
    running = asyncio.create_task(asyncio.Event().wait())
    received = Interrupts(job, running)  # type: ignore[arg-type]

    with received.listening():
        for signals in range(3):
            assert (len(ends), received.cancelled) == (0, signals >= 2)
            received._receive(signal.SIGINT)
    await asyncio.wait({running})

    assert ends == [3]
    assert job.reasons == ["interrupted by SIGINT"]
    assert running.cancelled()


async def test_rows_that_do_not_end_in_time_are_cancelled():
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(asyncio.Event().wait())
    received = Interrupts(StuckJob(), running)  # type: ignore[arg-type]

    with received.listening():
        began = loop.time()
        received._receive(signal.SIGTERM)
        await asyncio.wait({running})

    assert loop.time() - began == pytest.approx(module.DRAIN_SECONDS, abs=0.01)
    assert received.cancelled
    assert running.cancelled()
