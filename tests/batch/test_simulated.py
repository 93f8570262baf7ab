"""What a simulator made up is marked wherever it is kept, and never taken for a real answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from bulk import QUICK, read_lines
from hypothesis import given
from hypothesis import strategies as st
from support.foreign_files import untouched
from support.servers import ANSWER, CANARY, ScriptedServer, Serve

from deepseek_async import AsyncDeepSeek, Budget
from deepseek_async.batch import BatchReport, Server
from deepseek_async.batch.completed_rows import CompletedRows
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.journal.reading import OutputLines
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.line_format import glance
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.redo import End, Redo
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row_identity import key_of
from deepseek_async.configuration.credential import SIMULATED
from deepseek_async.errors import APIConnectionError
from deepseek_async.simulator import Fault, FaultKind, Simulator
from deepseek_async.simulator import responses as simulator_responses
from deepseek_async.types.simulated_mark import MARK

REAL, OTHER = Server("https://api.deepseek.com"), Server("http://127.0.0.1:1")
DECLARED = Server("http://127.0.0.1:2", simulated=True)

ROWS = [json.dumps({"custom_id": f"r{number}", "prompt": f"Hi {number}"}) + "\n" for number in range(4)]

Run = Callable[..., Awaitable[BatchReport]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text(
        "".join(json.dumps({"custom_id": f"r{number}", "prompt": f"Hi {number}"}) + "\n" for number in range(4))
    )
    return path


@pytest.fixture
def run(source: Path) -> Run:
    async def run_at(url: str, *, key: str = CANARY, output: str = "out.jsonl", **options: Any) -> BatchReport:
        async with AsyncDeepSeek(api_key=key, base_url=url) as client:
            return await client.batch.run(source, source.with_name(output), **{**QUICK, **options})

    return run_at


@pytest.fixture
async def simulate() -> AsyncIterator[Callable[[], Awaitable[Simulator]]]:
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(Simulator())


def ask(source: Path, rows: list[str]) -> None:
    source.write_text("".join(rows))


def facts(path: Path) -> list[dict[str, Any]]:
    return [line["deepseek_async"] for line in read_lines(path)]


def test_the_simulator_and_the_client_agree_on_the_mark():
    assert simulator_responses.MARK == MARK


async def test_a_run_with_a_key_asks_again_what_a_simulator_made_up(run: Run, simulate, serve: Serve, source: Path):
    simulator, server = await simulate(), await serve([ANSWER])
    await run(simulator.base_url, key=SIMULATED)
    output = source.with_name("out.jsonl")
    assert [fact["simulated"] for fact in facts(output)] == [True] * 4
    report = await run(server.url)
    assert (report.ok, report.resumed, report.made_up, len(server.requests)) == (4, 0, 4, 4)
    assert ["simulated" in fact for fact in facts(output)] == [True] * 4 + [False] * 4
    again = await run(server.url)
    assert (again.resumed, again.made_up, len(server.requests)) == (4, 0, 4)


async def test_so_does_one_whose_simulator_nobody_declared(run: Run, simulate, serve: Serve, source: Path):
    simulator, server = await simulate(), await serve([ANSWER])
    await run(simulator.base_url)
    assert {fact["server"] for fact in facts(source.with_name("out.jsonl"))} == {simulator.base_url}
    report = await run(server.url)
    assert (report.ok, report.made_up) == (4, 4)


async def test_a_row_that_nobody_was_asked_about_is_not_made_up(run: Run, simulate, source: Path):
    simulator = await simulate()
    ask(source, [ROWS[0], "no JSON\n"])
    report = await run(simulator.base_url, key=SIMULATED)
    assert (report.ok, report.failed) == (1, 1)
    assert sorted(fact.get("simulated", False) for fact in facts(source.with_name("out.jsonl"))) == [False, True]


async def test_a_run_at_the_same_simulator_goes_on(run: Run, simulate):
    simulator, other = await simulate(), await simulate()
    await run(simulator.base_url)
    assert (await run(simulator.base_url)).resumed == 4
    # It may be a gateway to the real service that has another's port now.
    assert (await run(other.base_url)).resumed == 0
    assert (await run("http://127.0.0.1:9", key=SIMULATED)).resumed == 4


async def test_a_simulated_run_goes_on_from_real_answers_and_takes_the_place_of_none(
    run: Run, simulate, serve: Serve, source: Path
):
    simulator, server = await simulate(), await serve([ANSWER])
    ask(source, ROWS[:2])
    await run(server.url)
    ask(source, ROWS)
    report = await run(simulator.base_url, key=SIMULATED)
    assert (report.ok, report.resumed) == (2, 2)
    for kind in ("changed", "error", "invalid_json", "length"):
        report = await run(simulator.base_url, key=SIMULATED, redo=kind, max_tokens=9)
        assert report.progress.requests <= 2, "the two that were made up before, and no real one"
    final = await run(server.url, redo=())
    assert (final.ok, final.resumed, final.made_up) == (2, 2, 2)


async def test_what_a_simulator_refused_is_no_refusal_of_the_service(run: Run, simulate, serve: Serve, source: Path):
    simulator, server = await simulate(), await serve([ANSWER])
    simulator.script(*[Fault(FaultKind.UNPROCESSABLE)] * 4)
    assert (await run(simulator.base_url)).failed == 4
    assert [fact["simulated"] for fact in facts(source.with_name("out.jsonl"))] == [True] * 4
    assert (await run(server.url)).ok == 4


async def test_a_copy_of_a_made_up_answer_is_made_up_and_none_is_copied_for_a_real_run(
    run: Run, simulate, serve: Serve, source: Path
):
    simulator, server = await simulate(), await serve([ANSWER])
    ask(source, ['{"custom_id":"a","prompt":"Hi"}\n', '{"custom_id":"b","prompt":"Hi"}\n'])
    same = {"dedupe": True, "temperature": 0}
    await run(simulator.base_url, key=SIMULATED, **same)
    output = source.with_name("out.jsonl")
    assert [fact["simulated"] for fact in facts(output)] == [True] * 2
    report = await run(server.url, **same)
    assert (report.ok, len(server.requests)) == (2, 1)
    assert ["simulated" in fact for fact in facts(output)] == [True, True, False, False]


async def test_a_budget_counts_no_made_up_answer_of_an_earlier_run(run: Run, simulate, serve: Serve):
    simulator, server = await simulate(), await serve([ANSWER])
    spent = (await run(simulator.base_url, key=SIMULATED)).cost
    assert spent > 0
    report = await run(server.url, budget=spent / 2, concurrency=1)
    assert report.ok > 0


async def test_a_merge_prefers_real_answers_and_keeps_the_marks(run: Run, simulate, serve: Serve, source: Path):
    simulator, server = await simulate(), await serve([ANSWER])
    ask(source, ROWS[:2])
    await run(server.url, output="real.jsonl")
    ask(source, ROWS)
    await run(simulator.base_url, key=SIMULATED, output="simulated.jsonl")
    real, simulated = source.with_name("real.jsonl"), source.with_name("simulated.jsonl")
    for number, order in enumerate([(real, simulated), (simulated, real)]):
        merged = source.with_name(f"merged{number}.jsonl")
        assert merge(order, merged).rows == 4
        marked = {line["custom_id"]: "simulated" in line["deepseek_async"] for line in read_lines(merged)}
        assert marked == {"r0": False, "r1": False, "r2": True, "r3": True}
        report = await run(server.url, output=merged.name)
        assert (report.ok, report.resumed, report.made_up) == (2, 2, 2)


@given(
    lines=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, "declared", OTHER.address])), max_size=8),
    server=st.sampled_from([REAL, OTHER, DECLARED]),
)
def test_a_row_has_ended_when_a_line_that_counts_for_the_run_says_so(
    lines: list[tuple[str, str | None]], server: Server, tmp_path_factory: pytest.TempPathFactory
):
    path = tmp_path_factory.mktemp("output") / "out.jsonl"
    written = []
    for name, maker in lines:
        mark = b"" if maker is None else b',"simulated":true'
        mark += b',"server":"%b"' % maker.encode() if maker == OTHER.address else b""
        written.append(encode_line(BatchResult(index=0, error=APIConnectionError("x")), name, 1, record=mark))
    path.write_bytes(b"".join(written))
    finished = CompletedRows(Redo(), server)
    finished.read(OutputLines(path), places=False, spent=False, stopped=lambda: False)
    for name in "ab":
        makers = [maker for row, maker in lines if row == name]
        counts = [maker is None or server.simulated or maker == server.address for maker in makers]
        assert (finished.end(key_of(name.encode()), 1) == End.FAILED) == any(counts)


def test_a_marked_line_is_never_taken_at_a_glance():
    result = BatchResult(index=0, error=APIConnectionError("x"))
    line = encode_line(result, "a", 1, record=Server(simulated=True).mark(result))
    assert glance(line) is None
    row = decode_line(line.rstrip(b"\n"))
    assert row is not None
    assert row.facts is not None
    assert row.facts.simulated


def test_a_real_answer_costs_no_byte_of_the_line():
    assert REAL.mark(BatchResult(index=0, error=APIConnectionError("x"))) == b""


async def test_a_scripted_server_is_no_simulator(serve: Serve, run: Run, source: Path):
    server: ScriptedServer = await serve([ANSWER])
    await run(server.url)
    assert not any("simulated" in fact for fact in facts(source.with_name("out.jsonl")))


@pytest.mark.parametrize("given", ["dollars", "a budget"])
async def test_a_client_with_the_key_of_simulators_leaves_the_days_real_money_alone(
    simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    simulator = await simulate()
    budget = 5 if given == "dollars" else Budget(5, path=tmp_path / "budget.sqlite")
    with untouched(tmp_path):
        async with AsyncDeepSeek(api_key=SIMULATED, base_url=simulator.base_url, budget=budget) as client:
            await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}])
            remaining = client.snapshot().budget_remaining
            assert remaining is not None
            assert remaining < 5, "within the process the made-up money is counted, so that a budget can be tried out"
