"""Concurrency: who counts, what is said, and what a falling balance does."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from simulator_caller import Caller, Start, chat_body

from deepseek_async.simulator import Fault, FaultKind
from deepseek_async.simulator.limits import Balances, InFlightLimit
from deepseek_async.simulator.model.catalogue import FLASH, PRO

STALL = Fault(FaultKind.STALL, after_events=1)


async def held(caller: Caller, **body: object):
    """A request that stays open. The caller reads no further than its headers."""
    return await caller.request(
        "POST", "/chat/completions", json=chat_body(stream=True, **body), headers={"x-simulate-fault": "stall"}
    ).__aenter__()


async def test_one_request_too_many_hears_both_numbers(start: Start):
    caller = await start(concurrency_limit=2)
    first, second = await held(caller), await held(caller)
    refused = await caller.chat()

    assert refused.status == 429
    assert refused.message == (
        "Too many requests. Your current concurrency is 3, which exceeds your concurrency limit of 2."
    )
    first.close()
    second.close()


async def test_a_client_that_leaves_frees_its_place(start: Start):
    caller = await start(concurrency_limit=1)
    response = await held(caller)
    response.close()
    await caller.simulator.until(lambda now: now.aborted == 1)

    assert (await caller.chat()).status == 200


async def test_keys_and_models_have_limits_of_their_own(start: Start):
    caller = await start(concurrency_limit=1)
    response = await held(caller)

    assert (await caller.chat()).status == 429
    assert (await caller.chat(model="deepseek-v4-pro")).status == 200
    assert (await caller.chat(headers={"Authorization": "Bearer sk-other"})).status == 200
    assert (await caller.chat(model="deepseek-chat")).status == 429
    response.close()


async def test_the_limit_can_fall_and_rise_while_requests_run(start: Start):
    caller = await start(concurrency_limit=3)
    response = await held(caller)
    caller.simulator.set_concurrency_limit(1)
    assert "limit of 1" in (await caller.chat()).message
    caller.simulator.set_concurrency_limit(0)
    assert "limit of 0" in (await caller.chat()).message
    caller.simulator.set_concurrency_limit(2)
    assert (await caller.chat()).status == 200
    response.close()


async def test_the_balance_clause_appears_when_the_balance_sets_the_limit(start: Start):
    caller = await start(balance=Decimal("1.00"), concurrency_per_unit=2.0)
    kept = [await held(caller), await held(caller)]
    refused = await caller.chat()

    assert "concurrency limit of 2 based on your remaining balance." in refused.message
    for response in kept:
        response.close()


def test_the_published_limits_hold_unless_told_otherwise():
    limit = InFlightLimit(None)

    assert limit.limit_of(FLASH, None, None) == (2500, False)
    assert limit.limit_of(PRO, Decimal(100), None) == (500, False)
    assert limit.limit_of(PRO, Decimal("0.10"), 10.0) == (1, True)


def test_peak_prices_are_double():
    day, night = Balances(Decimal(1), peak=True), Balances(Decimal(1), peak=False)
    for balances in (day, night):
        balances.charge("a", FLASH, hit=1_000_000, miss=100_000, output=10_000)

    assert Decimal(1) - night.remaining("a") == Decimal("0.024")
    assert Decimal(1) - day.remaining("a") == Decimal("0.048")
    assert day.remaining("b") == Decimal(1)


async def test_the_peak_is_counted(start: Start):
    caller = await start(latency=0.05)
    await asyncio.gather(*(caller.chat(str(number)) for number in range(20)))
    counted = caller.simulator.statistics()

    assert counted.peak_in_flight == 20
    assert (counted.requests, counted.served, counted.in_flight) == (20, 20, 0)
    assert sorted(record.in_flight for record in caller.simulator.requests) == list(range(20))
    assert counted.statuses == {200: 20}


@pytest.mark.parametrize("limit", [5, 50])
async def test_a_storm_never_exceeds_the_limit(start: Start, limit: int):
    caller = await start(concurrency_limit=limit, latency=0.01)
    replies = await asyncio.gather(*(caller.chat(str(number)) for number in range(200)))
    counted = caller.simulator.statistics()

    assert {reply.status for reply in replies} == {200, 429}
    assert counted.peak_in_flight == limit
    assert counted.served + counted.refused == 200
