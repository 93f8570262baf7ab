"""The tiers together, and a Redis that is down, killed, or does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.clock import Clock
from support.redis_server import RedisServer, let_redis_take, requests_to_redis

from deepseek_async import ConfigurationError
from deepseek_async.cache import Cache, CacheHit

KEY = b"k" * 32


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


async def test_an_answer_is_fresh_for_its_ttl_then_stale_then_gone(clock: Clock):
    cache = Cache(ttl=100, stale_if_error=50, clock=clock)
    cache.keep(KEY, b"answer")
    assert await cache.find(KEY) == CacheHit(b"answer", "memory", fresh=True)
    clock.now += 100
    assert await cache.find(KEY) == CacheHit(b"answer", "memory", fresh=False)
    clock.now += 50
    assert await cache.find(KEY) is None


async def test_what_is_found_on_disk_is_kept_in_memory(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    first = Cache(path=path)
    first.keep(KEY, b"answer")
    await first.aclose()
    second = Cache(path=path)
    tiers = [found.tier for _ in range(2) if (found := await second.find(KEY))]
    await second.aclose()
    assert tiers == ["disk", "memory"]


async def test_a_fresh_answer_on_disk_is_preferred_to_a_stale_one_in_memory(tmp_path: Path, clock: Clock):
    path = tmp_path / "answers.sqlite"
    mine, other = (Cache(path=path, ttl=100, stale_if_error=1000, clock=clock) for _ in range(2))
    other.keep(KEY, b"old")
    await other.aclose()
    assert (await mine.find(KEY)) == CacheHit(b"old", "disk", fresh=True)
    await mine.aclose()
    clock.now += 500
    other.keep(KEY, b"new")
    await other.aclose()
    assert (await mine.find(KEY)) == CacheHit(b"new", "disk", fresh=True)
    await mine.aclose()


async def test_clear_forgets_in_every_tier(tmp_path: Path, redis: RedisServer):
    cache = Cache(path=tmp_path / "answers.sqlite", redis=redis.url)
    cache.keep(KEY, b"answer")
    await cache.clear()
    assert await cache.find(KEY) is None
    await cache.aclose()


async def test_a_cache_is_used_again_after_it_was_closed(tmp_path: Path):
    cache = Cache(path=tmp_path / "answers.sqlite")
    for number in range(3):
        cache.keep(b"%d" % number, b"answer")
        await cache.aclose()
    stored = cache.stored()
    assert stored is not None
    assert stored.entries == 3
    await cache.aclose()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ttl": 0}, "ttl"),
        ({"ttl": float("nan")}, "ttl"),
        ({"stale_if_error": -1}, "stale_if_error"),
        ({"memory_bytes": -1}, "memory_bytes"),
        ({"disk_bytes": 10}, "disk_bytes"),
        ({"redis": "http://127.0.0.1"}, "redis"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict, named: str):
    with pytest.raises(ConfigurationError, match=f"cache.{named}"):
        Cache(**wrong)


@pytest.fixture
async def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    let_redis_take(20, monkeypatch)
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def shared(redis: RedisServer) -> AsyncIterator[Callable[[], Cache]]:
    caches: list[Cache] = []

    def make() -> Cache:
        caches.append(Cache(redis=redis.url))
        return caches[-1]

    yield make
    for cache in caches:
        await cache.aclose()


async def filled(shared: Callable[[], Cache]) -> tuple[Cache, Cache, CacheHit]:
    """A cache that has stored an answer, another one that has found it, and what it found."""
    one, other = shared(), shared()
    one.keep(KEY, b"answer")
    async with asyncio.timeout(120):
        while (found := await other.find(KEY)) is None:  # noqa: ASYNC110  Redis tells nobody
            await asyncio.sleep(0.01)
    return one, other, found


async def test_machines_share_answers_through_redis(shared: Callable[[], Cache]):
    _, other, found = await filled(shared)
    assert found.tier == "redis"
    again = await other.find(KEY)
    assert again is not None
    assert again.tier == "memory"


async def test_a_redis_that_is_down_at_the_start_costs_one_request(
    redis: RedisServer,
    shared: Callable[[], Cache],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    await redis.kill()
    cache = shared()
    requests = requests_to_redis(monkeypatch)
    assert [await cache.find(b"%d" % number) for number in range(100)] == [None] * 100
    cache.keep(KEY, b"answer")
    assert await cache.find(KEY) is not None
    assert (len(requests), said(caplog)) == (1, 1)


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_redis_that_fails_in_mid_run_is_left_alone_at_once(
    redis: RedisServer,
    shared: Callable[[], Cache],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    _, cache, _ = await filled(shared)
    caplog.clear()
    if fault == "killed":
        await redis.kill()
    else:
        let_redis_take(0.05, monkeypatch)
        redis.stop()
    requests = requests_to_redis(monkeypatch)
    assert [await cache.find(b"%d" % number) for number in range(100)] == [None] * 100
    if fault == "stopped":
        redis.go_on()
    assert await cache.find(KEY) is not None
    assert (len(requests), said(caplog)) == (1, 1), "nothing after the first failure waits for Redis at all"


def said(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.WARNING and "Redis" in record.message for record in caplog.records)


async def test_a_cache_works_on_one_event_loop_after_another(redis: RedisServer):
    cache = Cache(redis=redis.url)
    cache.keep(KEY, b"answer")
    found = await asyncio.to_thread(asyncio.run, cache.find(KEY))
    assert found is not None
    await cache.aclose()
