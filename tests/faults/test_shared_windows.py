"""Clients with limiters of their own, like two processes, share the account's limit through the cache folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator, SimulatorSettings

MODEL = "deepseek-flash"
LIMIT = 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPSEEK_ASYNC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


async def ask(client: AsyncDeepSeek, count: int) -> int:
    rows = (f"How much is {number}?" for number in range(count))
    return sum([result.ok async for result in client.batch.map(rows, model=MODEL, max_tokens=5, thinking=False)])


def groups(folder: Path) -> list[Path]:
    return list(folder.glob("group*"))


def window(client: AsyncDeepSeek):
    (limiter,) = client.statistics().models
    return limiter


async def test_two_that_have_much_to_do_share_the_limit_and_are_hardly_refused(folder: Path):
    settings = SimulatorSettings(latency=0.1, concurrency_limit=LIMIT, tokens_per_second=100)
    async with (
        Simulator(settings) as simulator,
        AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url) as first,
        AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url, breaker=False) as second,
    ):
        done = await asyncio.gather(ask(first, 120), ask(second, 120))
        assert done == [120, 120]
        assert (window(first).window.members, window(second).window.members) == (2, 2)
        assert window(first).shared == "machine"
        assert window(first).window.leads != window(second).window.leads
        attempts = window(first).window.attempts + window(second).window.attempts
        assert attempts - 240 <= 48
        assert "in 2 processes" in str(first)
    assert groups(folder) == []


async def test_one_that_is_closed_leaves_its_part_to_the_other():
    settings = SimulatorSettings(latency=0.01, concurrency_limit=LIMIT)
    async with Simulator(settings) as simulator, AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url) as first:
        async with AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url, breaker=False) as second:
            await asyncio.gather(ask(first, 50), ask(second, 50))
        await ask(first, 200)
        assert window(first).window.members == 1
        assert window(first).window.account_size is None


@pytest.mark.parametrize("options", [{"shared": "off"}, {"shared": False}, {"max_concurrency": 5}])
async def test_one_that_wants_to_be_alone_is_alone(folder: Path, options: dict):
    async with (
        Simulator(SimulatorSettings(latency=0.0)) as simulator,
        AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url, **options) as client,
    ):
        await ask(client, 3)
        assert window(client).shared is None
    assert groups(folder) == []


async def test_no_call_fails_where_nothing_can_be_written(monkeypatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv("DEEPSEEK_ASYNC_CACHE_DIR", "/proc/self/fdinfo/cache")
    async with (
        Simulator(SimulatorSettings(latency=0.0)) as simulator,
        AsyncDeepSeek(api_key="sk-test", base_url=simulator.base_url) as client,
    ):
        assert await ask(client, 30) == 30
        assert window(client).shared is None
    assert sum("cannot share limits" in record.getMessage() for record in caplog.records) == 1
