"""Gateways that share a Redis: one daily budget of a caller for all of them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import openai
import pytest
from gateways import MODEL, QUESTION
from support.clients import Connect
from support.redis_server import RedisServer, let_redis_take

from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.callers import Callers
from deepseek_async.simulator import Simulator, SimulatorSettings


async def test_the_daily_budget_of_a_caller_is_one_for_all_gateways_of_a_redis(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    let_redis_take(5.0, monkeypatch)
    async with RedisServer(tmp_path) as server, AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(SimulatorSettings(seed=7)))
        asked = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            callers = Callers(tmp_path / name / "keys.json")
            keys = [callers.add("team-a", daily=0.0002), callers.add("team-b", daily=0.0002)]
            client = connect(simulator.base_url, shared=server.url, account="ours")
            gateway = await stack.enter_async_context(AsyncGateway(client, folder=tmp_path / name, port=0))
            asked.append([openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) for key in keys])

        async def refused(client: openai.AsyncOpenAI, max_tokens: int) -> bool:
            try:
                await client.chat.completions.create(
                    model=MODEL,
                    messages=QUESTION,  # type: ignore[arg-type]
                    max_tokens=max_tokens,
                )
            except openai.RateLimitError as error:
                return "budget" in str(error)
            return False

        (first, other), (second, _) = asked
        spent = 0
        while not await refused(first, 20):
            spent += 1
            assert spent < 1_000
        assert spent > 0
        assert await refused(second, 20), "another gateway has money of the same caller"
        assert not await refused(other, 20), "another caller has no money"
        for clients in asked:
            for client in clients:
                await client.close()
