"""A call on behalf of somebody else costs two budgets the same: that of the client, and that of the caller."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, BudgetExceededError, DeepSeekError
from deepseek_async.admission.budget import Budget
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.tenant import Tenant, serving
from deepseek_async.simulator import Fault, FaultKind, Simulator, SimulatorSettings

QUESTION = [{"role": "user", "content": "Hi"}]
LARGE = 1.0
SMALL = 0.0001

Make = Callable[..., Budget]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        yield simulator


@pytest.fixture
async def budget(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Budget] = []

    def make(daily: float) -> Budget:
        made.append(Budget(daily, path=tmp_path / f"{len(made)}.sqlite"))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


def client_of(simulator: Simulator, budget: Budget) -> AsyncDeepSeek:
    return AsyncDeepSeek(
        api_key="sk-test-1234", base_url=simulator.base_url, budget=budget, retry=RetryPolicy(base_delay=0, max_delay=0)
    )


async def ask(client: AsyncDeepSeek, **parameters: Any) -> Any:
    return await client.chat.completions.create(
        model="deepseek-flash", messages=QUESTION, **{"max_tokens": 30, **parameters}
    )


async def spent(budget: Budget) -> float:
    await budget.flush()
    return (await budget.standing()).spent / 1e9


async def test_random_calls_cost_both_what_the_service_billed(simulator: Simulator, budget: Make):
    chance = random.Random(1)
    common, own = budget(LARGE), budget(LARGE)
    faults = (FaultKind.RATE_LIMIT, FaultKind.BAD_REQUEST, FaultKind.OVERLOADED)

    async def one(client: AsyncDeepSeek) -> None:
        if chance.random() < 0.3:
            simulator.script(Fault(chance.choice(faults)))
        if chance.random() < 0.5:
            await ask(client)
        else:
            async with await ask(client, stream=True) as stream:
                async for _ in stream:
                    pass

    async with client_of(simulator, common) as client:
        with serving(Tenant(budget=own)):
            for _ in range(30):
                await asyncio.gather(*(one(client) for _ in range(3)), return_exceptions=True)
    assert simulator.ledger.dollars > 0
    assert await spent(common) == await spent(own) == pytest.approx(simulator.ledger.dollars, abs=1e-9)


async def test_who_has_no_money_sends_nothing_and_takes_nothing_from_the_other(simulator: Simulator, budget: Make):
    for common, own in ((budget(LARGE), budget(SMALL)), (budget(SMALL), budget(LARGE))):
        before = simulator.statistics().requests
        async with client_of(simulator, common) as client:
            with serving(Tenant(budget=own)), pytest.raises(BudgetExceededError):
                await ask(client, max_tokens=8_000)
        assert simulator.statistics().requests == before
        assert (await spent(common), await spent(own)) == (0, 0)
        assert (common.remaining, own.remaining) == (common.daily, own.daily)


async def test_calls_that_are_cancelled_are_held_by_neither(simulator: Simulator, budget: Make):
    common, own = budget(LARGE), budget(LARGE)
    async with client_of(simulator, common) as client:
        with serving(Tenant(budget=own)):
            for turns in range(60):
                call = asyncio.create_task(ask(client))
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
    assert await spent(common) == await spent(own) >= simulator.ledger.dollars - 1e-9
    assert own.remaining == pytest.approx(LARGE - await spent(own), abs=1e-9)
    assert common.remaining == pytest.approx(LARGE - await spent(common), abs=1e-9)


async def test_a_call_of_nobody_costs_the_client_alone(simulator: Simulator, budget: Make):
    common, own = budget(LARGE), budget(LARGE)
    async with client_of(simulator, common) as client:
        with serving(Tenant(budget=own)):
            simulator.script(Fault(FaultKind.BAD_REQUEST))
            with pytest.raises(DeepSeekError):
                await ask(client)
        assert await spent(own) == 0
        await ask(client)
    assert await spent(common) == pytest.approx(simulator.ledger.dollars, abs=1e-9)
    assert await spent(own) == 0
