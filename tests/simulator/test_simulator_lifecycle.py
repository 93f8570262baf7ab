"""Starting and stopping: as a context and as a process of its own."""

from __future__ import annotations

import ast
import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from simulator_caller import AUTHORIZATION, Caller, Start, chat_body

import deepseek_async.simulator
from deepseek_async.simulator import Simulator, SimulatorSettings, server
from deepseek_async.simulator.__main__ import parser, settings_from


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator that waits for somebody when it is left does so for longer than any test may last."""
    monkeypatch.setattr(server, "_CLOSING_SECONDS", 1000)


@pytest.mark.parametrize("fault", ["stall", "keep_alives_for_ever", "slow_chunks; seconds=1000"])
async def test_leaving_ends_stalled_streams_at_once_and_leaves_no_task(fault: str):
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession(headers={**AUTHORIZATION, "x-simulate-fault": fault}) as session:
        async with Simulator(SimulatorSettings(latency=0.0)) as simulator:
            url = simulator.base_url + "/chat/completions"
            kept = [await session.post(url, json=chat_body(stream=True)) for _ in range(20)]
            assert simulator.statistics().in_flight == 20
        assert simulator.statistics().in_flight == 0
        assert simulator.statistics().aborted == 0
        for response in kept:
            response.close()
    assert asyncio.all_tasks() == before


async def test_leaving_ends_requests_that_wait_for_their_headers():
    async with aiohttp.ClientSession(headers=AUTHORIZATION) as session:
        async with Simulator(SimulatorSettings(latency=1000.0)) as simulator:
            waiting = asyncio.create_task(session.post(simulator.base_url + "/chat/completions", json=chat_body()))
            await simulator.until(lambda now: now.in_flight == 1)
        with pytest.raises(aiohttp.ClientError):
            await waiting


async def fetch(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as response:
        await response.read()


async def test_idle_connections_do_not_delay_the_end():
    async with aiohttp.ClientSession(headers=AUTHORIZATION) as session:
        simulator = Simulator()
        await simulator.start()
        await asyncio.gather(*(fetch(session, simulator.base_url + "/models") for _ in range(5)))
        await simulator.aclose()
        await simulator.aclose()


async def test_two_simulators_live_side_by_side(start: Start):
    one, two = await start(), await start()

    assert one.simulator.base_url != two.simulator.base_url
    await one.chat()
    assert (len(one.simulator.requests), len(two.simulator.requests)) == (1, 0)


async def test_the_address_is_known_only_after_the_start():
    with pytest.raises(RuntimeError, match="not started"):
        _ = Simulator().base_url


async def test_the_record_is_bounded_and_can_be_sliced(start: Start):
    caller = await start(record_limit=3)
    for number in range(5):
        await caller.chat(str(number))
    requests = caller.simulator.requests

    assert [record.body["messages"][0]["content"] for record in requests] == ["2", "3", "4"]
    assert requests[-1].status == 200
    assert len(requests[1:]) == 2
    requests.clear()
    assert list(requests) == []


@pytest.mark.parametrize(
    "wrong",
    [{"fault_rate": 2.0}, {"answer_tokens": 0}, {"answer_spread": 1.5}, {"latency": -1.0}, {"keep_alive_interval": 0}],
)
def test_senseless_settings_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimulatorSettings(**wrong)


def test_the_simulator_imports_nothing_else_of_the_package():
    folder = Path(deepseek_async.simulator.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            for name in names:
                inside = name.startswith("deepseek_async.simulator")
                assert inside or not name.startswith("deepseek_async"), f"{path.name} imports {name}"


def test_the_command_line_covers_the_settings():
    plain = settings_from(parser().parse_args([]))
    told = settings_from(
        parser().parse_args(
            [
                "--seed",
                "3",
                "--latency",
                "0.05",
                "--latency-spread",
                "0.1",
                "--tokens-per-second",
                "40",
                "--concurrency-limit",
                "60",
                "--balance",
                "19.68",
                "--fault-rate",
                "0.1",
                "--answer-tokens",
                "9",
                "--fault",
                "overloaded",
                "--fault",
                "stall",
                "--api-key",
                "sk-a",
                "--no-prefix-cache",
            ]
        )
    )

    assert plain == SimulatorSettings(record_limit=1000)
    assert (told.seed, told.latency, told.latency_spread, told.tokens_per_second) == (3, 0.05, 0.1, 40.0)
    assert (told.concurrency_limit, str(told.balance), told.fault_rate) == (60, "19.68", 0.1)
    assert (told.fault_kinds, told.api_keys) == (("overloaded", "stall"), frozenset({"sk-a"}))
    assert (told.answer_tokens, told.prefix_cache) == (9, False)


async def launch(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "deepseek_async.simulator", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    line = await process.stdout.readline()
    return process, json.loads(line)["base_url"]


@pytest.mark.parametrize("ending", ["interrupt", "terminate", "end of input"])
async def test_as_a_process_it_tells_its_address_serves_and_stops_quietly(ending: str):
    process, url = await launch("--until-stdin-closes", "--seed", "5")
    async with aiohttp.ClientSession(headers=AUTHORIZATION) as session:
        headers = {"x-simulate-fault": "stall"}
        stalled = await session.post(url + "/chat/completions", json=chat_body(stream=True), headers=headers)
        async with session.post(url + "/chat/completions", json=chat_body("Hi")) as response:
            assert response.status == 200
        headers = {"x-simulate-fault": "reset_mid_event"}
        async with session.post(url + "/chat/completions", json=chat_body(), headers=headers) as broken:
            with pytest.raises((aiohttp.ClientOSError, aiohttp.ClientPayloadError)):
                await broken.read()
        if ending == "end of input":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGINT if ending == "interrupt" else signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 120)
        stalled.close()

    assert (process.returncode, out, err) == (0, b"", b"")


async def test_an_input_that_is_no_pipe_ends_at_once():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "deepseek_async.simulator", "--until-stdin-closes",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)

    assert (process.returncode, out.count(b"\n"), err) == (0, 1, b"")


async def test_a_caller_may_leave_in_mid_stream(caller: Caller):
    for _ in range(20):
        async with caller.request(
            "POST", "/chat/completions", json=chat_body(stream=True), headers={"x-simulate-fault": "slow_chunks"}
        ) as response:
            await response.content.readany()
    await caller.simulator.until(lambda now: now.aborted == 20)
    assert caller.simulator.statistics().in_flight == 0


async def test_a_caller_who_leaves_before_all_is_written_is_no_error_of_the_server(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def write_too_late(
        _response: object, _steps: object, transport: asyncio.Transport, _delivery: object
    ) -> None:
        transport.close()
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr("deepseek_async.simulator.http_replies.deliver", write_too_late)
    with pytest.raises(aiohttp.ClientError):
        await caller.chat(stream=True)
    await caller.simulator.until(lambda now: now.aborted == 1)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("aiohttp")] == []
