"""The tiers together, and a Redis that is down, killed, or does not answer."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from redis_server import RedisServer

from deepseek_async import ConfigurationError
from deepseek_async.cache import Cache, Found

KEY = b"k" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_an_answer_is_fresh_for_its_ttl_then_stale_then_gone(clock: Clock):
    cache = Cache(ttl=100, stale_if_error=50, clock=clock)
    cache.keep(KEY, b"answer")
    assert await cache.find(KEY) == Found(b"answer", "memory", fresh=True)
    clock.now += 100
    assert await cache.find(KEY) == Found(b"answer", "memory", fresh=False)
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
    assert (await mine.find(KEY)) == Found(b"old", "disk", fresh=True)
    await mine.aclose()
    clock.now += 500
    other.keep(KEY, b"new")
    await other.aclose()
    assert (await mine.find(KEY)) == Found(b"new", "disk", fresh=True)
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
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
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


async def filled(shared: Callable[[], Cache]) -> tuple[Cache, Cache, Found]:
    """A cache that has stored an answer, another one that has found it, and what it found.

    On a machine so busy that Redis takes 50 ms to answer, both leave it alone: others take their place.
    """
    async with asyncio.timeout(20):
        while True:
            one, other = shared(), shared()
            one.keep(KEY, b"answer")
            for _ in range(20):
                if (found := await other.find(KEY)) is not None:
                    return one, other, found
                await asyncio.sleep(0.01)


async def test_machines_share_answers_through_redis(shared: Callable[[], Cache]):
    _, other, found = await filled(shared)
    assert found.tier == "redis"
    again = await other.find(KEY)
    assert again is not None
    assert again.tier == "memory"


async def seconds(work: Awaitable[object]) -> float:
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def test_a_redis_that_is_down_at_the_start_costs_one_short_wait(
    redis: RedisServer,
    shared: Callable[[], Cache],
    caplog: pytest.LogCaptureFixture,
):
    await redis.kill()
    cache = shared()
    waits = [await seconds(cache.find(b"%d" % number)) for number in range(100)]
    assert sum(wait > 0.02 for wait in waits) <= 3
    assert statistics.median(waits) < 0.001
    cache.keep(KEY, b"answer")
    assert await cache.find(KEY) is not None
    assert said(caplog) == 1


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_redis_that_fails_in_mid_run_is_left_alone_at_once(
    redis: RedisServer,
    shared: Callable[[], Cache],
    fault: str,
    caplog: pytest.LogCaptureFixture,
):
    _, cache, _ = await filled(shared)
    caplog.clear()
    if fault == "killed":
        await redis.kill()
    else:
        redis.stop()
    waits = [await seconds(cache.find(b"%d" % number)) for number in range(100)]
    if fault == "stopped":
        redis.go_on()
    # The first failure may take its 50 ms, and longer on a busy machine; nothing after it waits at all.
    assert sum(wait > 0.02 for wait in waits) <= 3
    assert statistics.median(waits) < 0.001
    assert await cache.find(KEY) is not None
    assert said(caplog) == 1


def said(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.WARNING and "Redis" in record.message for record in caplog.records)


async def test_a_cache_works_on_one_event_loop_after_another(redis: RedisServer):
    cache = Cache(redis=redis.url)
    cache.keep(KEY, b"answer")
    found = await asyncio.to_thread(asyncio.run, cache.find(KEY))
    assert found is not None
    await cache.aclose()
