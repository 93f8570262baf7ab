"""Daily budgets of callers through changes of settings and of keys: nobody has money again, and nothing stays."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway
from support.clients import Connect
from support.redis_server import RedisServer, let_redis_take
from support.waiting import until

from deepseek_async.errors import ConfigurationError
from deepseek_async.gateway import AsyncGateway, upkeep
from deepseek_async.gateway.callers import Callers
from deepseek_async.simulator import Simulator, SimulatorSettings

DAILY = 0.0002
BODY = {"model": MODEL, "messages": QUESTION, "max_tokens": 20}
OTHER_KEY = "sk-another0123456789abcdefTAIL"


async def status_of(gated: Gated, **changed: Any) -> int:
    return (await gated.ask("POST", CHAT, key=gated.keys["team-a"], json={**BODY, **changed}))[0]


async def spend_all(gated: Gated) -> None:
    answered = 0
    while await status_of(gated) == 200:
        answered += 1
        assert answered < 1_000
    assert answered > 0


async def test_new_settings_give_nobody_money_again_and_free_the_former_budgets(
    gateway: StartGateway, connect: Connect
):
    gated = await gateway(keys={"team-a": {"daily": DAILY}})
    await spend_all(gated)
    served = gated.simulator.statistics().served

    for _ in range(3):
        await (await gated.gateway.use(connect(gated.simulator.base_url))).aclose()
        assert await status_of(gated) == 429

    await until(lambda: threads_of_budgets() == 1)
    assert not gated.gateway._tenants._former
    assert gated.simulator.statistics().served == served


def threads_of_budgets() -> int:
    """A budget that is in use has a thread and its file open."""
    return sum(each.name.startswith("deepseek_async budget") for each in threading.enumerate())


async def test_a_budget_with_a_request_under_way_counts_it_before_it_is_freed(gateway: StartGateway, connect: Connect):
    gated = await gateway(keys={"team-a": {"daily": DAILY}}, latency=0.3)
    # More than half of the money: two of them do not fit.
    large = asyncio.create_task(status_of(gated, max_tokens=200))
    await gated.simulator.until(lambda now: now.in_flight == 1)
    exchange = asyncio.create_task(gated.gateway.use(connect(gated.simulator.base_url)))
    await asyncio.sleep(0)

    assert await status_of(gated, max_tokens=200) == 429
    assert await large == 200
    await exchange
    assert await status_of(gated) == 200


async def test_a_caller_with_a_new_key_or_another_limit_keeps_what_it_has_spent(
    gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(upkeep, "INTERVAL", 0.02)
    gated = await gateway(keys={"team-a": {"daily": DAILY}})
    await spend_all(gated)
    callers = Callers(gated.folder / "keys.json")

    callers.revoke("team-a")
    await until(lambda: not gated.gateway._tenants._budgets)
    gated.keys["team-a"] = callers.add("team-a", daily=DAILY * 1.01)
    assert await status_of(gated) == 429
    callers.revoke("team-a")
    gated.keys["team-a"] = callers.add("team-a", daily=DAILY * 2)
    assert await status_of(gated) == 200


async def test_another_key_of_deepseek_gives_nobody_money_again_in_redis_and_redis_cannot_be_left(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    let_redis_take(5.0, monkeypatch)
    async with RedisServer(tmp_path) as server, Simulator(SimulatorSettings(seed=7)) as simulator:
        folder = tmp_path / "gateway"
        folder.mkdir()
        key = Callers(folder / "keys.json").add("team-a", daily=DAILY)
        async with AsyncGateway(connect(simulator.base_url, shared=server.url), folder=folder, port=0) as running:
            gated = Gated(simulator, running, folder, {"team-a": key})
            await spend_all(gated)
            await running.use(connect(simulator.base_url, shared=server.url, api_key=OTHER_KEY))
            assert await status_of(gated) == 429
            with pytest.raises(ConfigurationError, match="start the gateway again"):
                await running.use(connect(simulator.base_url))
            assert await status_of(gated) == 429
