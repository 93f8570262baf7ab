"""A row that a run leaves pending was perhaps billed: the money is written down, and the row runs again."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bulk import numbered, read_lines
from support.clients import AT_ONCE, Connect
from support.servers import ANSWER, SILENCE, Script, Serve, answer, response
from support.waiting import until

from deepseek_async.batch import ExitCode
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.review.job_summary import JobSummary, account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput
from deepseek_async.batch.row import Defaults
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import FaultKind, Simulator, SimulatorSettings

EMPTY: Script = [response(answer(""))]
ANSWER_SCRIPT: Script = [ANSWER]
REFUSED: Script = [response({"error": {"message": "Authentication Fails", "type": "authentication_error"}}, 401)]


def asked(folder: Path, rows: list[dict[str, Any]]) -> tuple[Path, Path]:
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return source, folder / "out.jsonl"


def account(output: Path, source: Path | None = None) -> JobSummary:
    read = OutputReader(output)
    read.read()
    rows = LatestRun(read) if source is None else RowsOfInput(read, source, Defaults())
    return account_of(rows, price_table())


def pending(output: Path) -> list[dict[str, Any]]:
    return [line for line in read_lines(output) if line["deepseek_async"].get("pending")]


async def test_what_was_billed_before_the_account_was_refused_is_known_to_every_later_run(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, numbered(1))
    stopped = await connect(await serve(EMPTY, REFUSED), retry=AT_ONCE).batch.run(source, output)
    assert (stopped.exit_code, stopped.rows, stopped.failed) == (ExitCode.STOPPED, 0, 0)
    assert stopped.cost > 0
    (line,) = pending(output)
    assert (line["response"], line["error"]["code"]) == (None, "pending")
    assert line["deepseek_async"]["cost"] == pytest.approx(stopped.cost)
    assert account(output).cost == pytest.approx(stopped.cost)
    assert (account(output).ok, account(output).failed, account(output).pending) == (0, 0, 1)

    rest = await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output, budget=1)
    assert (rest.exit_code, rest.ok, rest.damaged) == (ExitCode.OK, 1, 0)
    assert rest.spent == pytest.approx(stopped.cost + rest.cost)
    for sums in (account(output), account(output, source)):
        assert (sums.ok, sums.cost) == (1, pytest.approx(stopped.cost + rest.cost))
    again = await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output)
    assert (again.progress.requests, again.resumed) == (0, 1)


async def test_a_row_whose_retry_the_used_up_budget_refuses_is_asked_again_by_the_next_run(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, numbered(6))
    server = await serve(EMPTY)
    report = await connect(server, retry=AT_ONCE).batch.run(source, output, budget=1e-9, concurrency=3)
    assert "budget of $" in str(report.stopped)
    assert (report.exit_code, report.failed) == (ExitCode.STOPPED, 0)
    assert len(pending(output)) == len(read_lines(output)) == len(server.requests)

    rest = await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output, budget=1)
    assert (rest.exit_code, rest.ok) == (ExitCode.OK, 6)
    assert rest.spent == pytest.approx(report.cost + rest.cost)
    assert account(output).cost == pytest.approx(rest.spent)


async def test_a_failure_that_is_never_retried_ends_its_row_also_when_the_budget_is_used_up(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, numbered(2))
    wrong: Script = [response({"error": {"message": "no", "type": "invalid_request_error"}}, 400)]
    server = await serve(EMPTY, wrong)
    report = await connect(server, retry=AT_ONCE).batch.run(source, output, budget=1e-9, concurrency=2)
    assert report.failures == {"BadRequestError": 1}
    assert len(pending(output)) == 1


class Review(msgspec.Struct):
    stars: int


async def test_an_asking_that_the_used_up_budget_refuses_leaves_its_row_pending(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, [{"custom_id": "a", "messages": [{"role": "user", "content": "json"}]}])
    unfit: Script = [response(answer('{"stars": "many"}'))]
    report = await connect(await serve(unfit)).batch.run(source, output, budget=1e-9, response_format=Review)
    assert (report.failed, len(pending(output))) == (0, 1)
    assert account(output).cost == pytest.approx(report.cost)


async def test_what_rows_in_flight_were_billed_is_written_when_the_job_is_cancelled(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, numbered(1))
    server = await serve(EMPTY, [SILENCE])
    client = connect(server, retry=AT_ONCE)
    job = client.batch.job(source, output)
    running = asyncio.ensure_future(job.run())
    await until(lambda: len(server.requests) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    (line,) = pending(output)
    empty, lost = line["deepseek_async"]["billed"]
    assert ("corrected" in empty, "corrected" in lost) == (False, True)
    assert job.report().cost == pytest.approx(line["deepseek_async"]["cost"])
    assert account(output).cost == pytest.approx(line["deepseek_async"]["cost"])
    rest = await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output)
    assert (rest.exit_code, rest.ok) == (ExitCode.OK, 1)


async def test_no_equal_row_gets_a_copy_of_a_line_that_ends_none(serve: Serve, connect: Connect, tmp_path: Path):
    row = {"prompt": "a", "temperature": 0, "thinking": {"type": "disabled"}}
    source, output = asked(tmp_path, [{"custom_id": name, **row} for name in "abc"])
    await connect(await serve(EMPTY, REFUSED), retry=AT_ONCE).batch.run(source, output, dedupe=True)
    server = await serve(ANSWER_SCRIPT)
    rest = await connect(server).batch.run(source, output, dedupe=True)
    assert (rest.ok, rest.progress.copied, len(server.requests)) == (3, 2, 1)


async def test_a_merge_keeps_what_was_billed_for_rows_that_had_not_ended(
    serve: Serve, connect: Connect, tmp_path: Path
):
    source, output = asked(tmp_path, numbered(1))
    await connect(await serve(EMPTY, REFUSED), retry=AT_ONCE).batch.run(source, output)
    await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output)
    merged = merge([output], tmp_path / "merged.jsonl")
    assert (merged.rows, merged.superseded, merged.damaged) == (1, 0, 0)
    assert account(tmp_path / "merged.jsonl").cost == pytest.approx(account(output).cost)
    rest = await connect(await serve(REFUSED)).batch.run(source, tmp_path / "merged.jsonl")
    assert (rest.resumed, rest.progress.requests) == (1, 0)


async def test_what_a_simulator_billed_is_nobodys_money(connect: Connect, serve: Serve, tmp_path: Path):
    source, output = asked(tmp_path, numbered(3))
    async with Simulator() as simulator:
        client = connect(simulator.base_url, retry=AT_ONCE, default_headers={"x-simulate-fault": "empty_success"})
        await client.batch.run(source, output, budget=1e-9)
        await client.aclose()
    lines = pending(output)
    assert lines
    assert all(line["deepseek_async"]["simulated"] for line in lines)
    rest = await connect(await serve(ANSWER_SCRIPT)).batch.run(source, output, budget=1)
    assert rest.spent == pytest.approx(rest.cost)


@pytest.mark.parametrize("seed", range(3))
async def test_over_any_number_of_stopped_runs_no_money_is_forgotten(connect: Connect, tmp_path: Path, seed: int):
    source, output = asked(tmp_path, numbered(60))
    kinds = (FaultKind.EMPTY_SUCCESS, FaultKind.RESET_AFTER_HEADERS, FaultKind.TRUNCATED_JSON)
    # Off peak whenever the test runs, as the simulator's prices are.
    holidays = [(datetime.now(UTC) + timedelta(days=days)).date() for days in range(-1, 3)]
    settings = SimulatorSettings(seed=seed, fault_rate=0.3, fault_kinds=kinds, tokens_per_second=20_000.0)
    runs: list[float] = []
    async with Simulator(settings) as simulator:
        client = connect(simulator.base_url, retry=AT_ONCE, breaker=None, holidays=holidays)
        while True:
            report = await client.batch.run(source, output, max_tokens=20, budget=sum(runs) + 0.0002, concurrency=4)
            runs.append(report.cost)
            if report.exit_code != ExitCode.STOPPED:
                break
        await client.aclose()
        billed = simulator.ledger.dollars

    assert len(runs) > 3
    prices = price_table().with_holidays(holidays)
    read = OutputReader(output)
    read.read()
    assert account_of(LatestRun(read), prices).cost == pytest.approx(sum(runs))
    assert sum(runs) + 1e-9 * 60 >= billed
