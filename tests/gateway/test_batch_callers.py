"""Batches of callers: what each may use, and what becomes of its batches when that changes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from gateways import CHAT, StartGateway, batch_line, jsonl
from openai.types import Batch
from support.waiting import until
from test_gateway_batches import ended, lines_of, rows, started, uploaded

from deepseek_async.gateway import AsyncGateway, upkeep
from deepseek_async.gateway.batches import runner
from deepseek_async.gateway.callers import Callers


async def until_waiting(client: openai.AsyncOpenAI, batch: Batch) -> str:
    while not (batch.model_extra or {})["waiting_for"]:
        await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
        batch = await client.batches.retrieve(batch.id)
    return str((batch.model_extra or {})["waiting_for"])


async def until_answered(client: openai.AsyncOpenAI, batch: Batch, count: int = 1) -> Batch:
    while not batch.request_counts or batch.request_counts.completed < count:
        await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
        batch = await client.batches.retrieve(batch.id)
    return batch


async def test_rows_of_all_batches_of_a_caller_and_its_requests_stay_below_its_cap(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {"max_concurrency": 3}}, latency=0.02)
    async with gated.openai("team-a") as client:
        batches = [await started(client, rows(20)) for _ in range(2)]
        for batch in batches:
            assert (await ended(client, batch)).status == "completed"

    assert gated.simulator.statistics().peak_in_flight <= 3


async def test_a_small_batch_does_not_wait_for_the_end_of_a_large_one(gateway: StartGateway):
    gated = await gateway(latency=0.02, concurrency_limit=4)
    async with gated.openai() as client:
        large = await until_answered(client, await started(client, rows(400)))
        small = await ended(client, await started(client, rows(8)))
        large = await client.batches.retrieve(large.id)

    assert small.status == "completed"
    assert large.status == "in_progress"


async def test_a_batch_waits_while_the_daily_budget_of_its_caller_is_spent_and_says_so(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {"daily": 0.000001}, "team-b": {}})
    async with gated.openai("team-a") as poor, gated.openai("team-b") as rich:
        said = await until_waiting(poor, await started(poor, rows(2)))
        assert (await ended(rich, await started(rich, rows(2)))).status == "completed"

    assert "budget" in said
    assert gated.simulator.statistics().served == 2


async def test_a_batch_of_a_removed_caller_stops_and_goes_on_when_there_is_one_of_its_name(
    gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "INTERVAL", 0.02)
    gated = await gateway(keys={"team-a": {}, "head": {"operator": True}}, latency=0.05, concurrency_limit=2)
    callers = Callers(gated.folder / "keys.json")
    async with gated.openai("team-a") as client:
        batch = await until_answered(client, await started(client, rows(40)))
        callers.revoke("team-a")
        with pytest.raises(openai.AuthenticationError):
            await client.batches.retrieve(batch.id)
    record = gated.folder / "batches" / f"{batch.id}.json"
    await until(lambda: "removed" in record.read_text(), seconds=30)
    served = gated.simulator.statistics().served
    assert served < 40

    gated.keys["team-a"] = callers.add("team-a")
    async with gated.openai("team-a") as client:
        batch = await ended(client, await client.batches.retrieve(batch.id))

    assert batch.status == "completed"
    assert gated.simulator.statistics().served == 40


def changed_record(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


async def test_rows_without_an_answer_when_the_window_ends_are_named_in_the_error_file(gateway: StartGateway):
    gated = await gateway(latency=0.5, concurrency_limit=2)
    async with gated.openai() as client:
        batch = await until_answered(client, await started(client, rows(60), completion_window="1m"))
    await gated.gateway.aclose()
    changed_record(gated.folder / "batches" / f"{batch.id}.json", expires_at=int(time.time()) + 2)

    async with AsyncGateway(gated.gateway.client, folder=gated.folder, port=0) as again:
        gated.gateway = again
        async with gated.openai() as client:
            batch = await ended(client, await client.batches.retrieve(batch.id))
            answers = await lines_of(client, batch.output_file_id)
            errors = await lines_of(client, batch.error_file_id)

    assert batch.status == "expired"
    assert batch.expired_at is not None
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    assert sorted(line["custom_id"] for line in answers + errors) == sorted(f"row-{n}" for n in range(60))
    assert gated.simulator.statistics().served == len(answers)


@pytest.mark.parametrize(("jump", "status"), [(-3 * 86_400.0, "completed"), (3 * 86_400.0, "expired")])
async def test_a_clock_that_jumps_loses_no_row(
    gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, jump: float, status: str
):
    gated = await gateway(latency=0.1, concurrency_limit=4)
    async with gated.openai() as client:
        batch = await until_answered(client, await started(client, rows(40)))
        monkeypatch.setattr(runner, "time", SimpleNamespace(time=lambda: time.time() + jump))
        await gated.gateway.use(gated.gateway.client)
        batch = await ended(client, batch)
        answers = await lines_of(client, batch.output_file_id)
        errors = await lines_of(client, batch.error_file_id)

    assert batch.status == status
    assert sorted(line["custom_id"] for line in answers + errors) == sorted(f"row-{n}" for n in range(40))
    assert {line["error"]["code"] for line in errors} <= {"batch_expired"}
    assert gated.simulator.statistics().served == len(answers)


async def test_outputs_expire_and_are_removed(gateway: StartGateway):
    gated = await gateway()
    async with gated.openai() as client:
        asked = {"output_expires_after": {"anchor": "created_at", "seconds": 3600}}
        batch = await ended(client, await started(client, rows(1), extra_body=asked))
        assert batch.output_file_id is not None
        kept = await client.files.retrieve(batch.output_file_id)
        assert kept.expires_at == kept.created_at + 3600
    await gated.gateway.aclose()
    changed_record(gated.folder / "files" / f"{batch.output_file_id}.json", expires_at=1)

    async with AsyncGateway(gated.gateway.client, folder=gated.folder, port=0) as again:
        gated.gateway = again
        async with gated.openai() as client:
            with pytest.raises(openai.NotFoundError):
                await client.files.content(batch.output_file_id)
            removed = gated.folder / "files" / batch.output_file_id
            await until(lambda: not removed.exists(), seconds=30)


async def test_the_input_of_a_running_batch_cannot_be_deleted(gateway: StartGateway):
    gated = await gateway(latency=0.2, concurrency_limit=2)
    async with gated.openai() as client:
        given = await uploaded(client, jsonl([batch_line(n) for n in range(10)]))
        batch = await client.batches.create(input_file_id=given, endpoint=CHAT, completion_window="24h")
        with pytest.raises(openai.ConflictError, match=r"cancel the batch first"):
            await client.files.delete(given)
        await client.batches.cancel(batch.id)
        await ended(client, batch)
        assert (await client.files.delete(given)).deleted


async def test_a_batch_that_waits_does_not_run_hot_after_new_settings(gateway: StartGateway):
    gated = await gateway(balance=0)
    async with gated.openai() as client:
        batch = await started(client, rows(1))
        await until_waiting(client, batch)
        await gated.gateway.use(gated.gateway.client)
        await asyncio.sleep(0.3)  # time in which a hot loop would send thousands

    assert gated.simulator.statistics().requests < 20
