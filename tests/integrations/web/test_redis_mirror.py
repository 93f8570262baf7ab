"""A reader that comes back at another process: two buffers, one Redis between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.event_source import Event, events_in
from support.redis_server import RedisServer
from support.waiting import until
from test_resumable import Told, words_of

from deepseek_async import APIConnectionError
from deepseek_async.integrations.web import Heartbeat, ResumableAnswers, redis_mirror

QUICK = Heartbeat(interval=60, headers_after=60)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def two(redis: RedisServer) -> AsyncIterator[list[ResumableAnswers]]:
    """The buffers of two workers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ResumableAnswers(redis.url, grace=1)) for _ in range(2)]


async def rest_of(reader: Any) -> list[Event]:
    with reader:
        return events_in(*[block async for block in reader])


async def test_the_other_worker_has_every_event_once_and_the_last_ones_as_they_come(two: list[ResumableAnswers]):
    told = Told()
    live = two[0].begin(told.source(), "text")
    told.say("a", "b")
    with live.reader() as here:
        seen = events_in(await anext(here))
        while len(seen) < 2:
            seen += events_in(await anext(here))
    there = await two[1].reader(live.answer_id or "", 1, QUICK)
    assert there is not None
    reading = asyncio.create_task(rest_of(there))
    # It counts as a reader: the answer outlives its grace.
    await asyncio.sleep(1.5)
    assert live.running
    told.say("c", None)
    rest = await reading
    assert words_of(rest) == ["b", "c"]
    assert [event.number for event in rest] == [2, 3, 4]
    assert rest[-1].kind == "end"
    # And after the end, as long as it is kept.
    again = await two[1].reader(live.answer_id or "", 0, QUICK)
    assert words_of(await rest_of(again)) == ["a", "b", "c"]
    # Who has all of it has nothing to come for, and no number of a page stops the round trips of the others.
    for after in (4, 10**30):
        assert await two[1].reader(live.answer_id or "", after, QUICK) is None
    for after in (-(10**30), 3):
        assert (await rest_of(await two[1].reader(live.answer_id or "", after, QUICK)))[-1].kind == "end"


async def test_a_stop_at_the_other_worker_ends_the_answer(two: list[ResumableAnswers]):
    told = Told()
    live = two[0].begin(told.source(), "text")
    told.say("a")
    with live.reader() as here:
        await anext(here)
        there = await two[1].reader(live.answer_id or "", 0, QUICK)
        assert await two[1].stop(live.answer_id or "")
        await told.closed.wait()
        assert [event.kind for event in await rest_of(there)] == ["message", "stopped"]
    await until(lambda: not live.running)
    assert not await two[1].stop("A" * 24)


async def test_an_answer_nobody_follows_elsewhere_is_closed_after_its_grace(
    two: list[ResumableAnswers], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_mirror, "_PRESENT", 500)
    told = Told()
    live = two[0].begin(told.source(), "text")
    told.say("a")
    with live.reader() as here:
        await anext(here)
    there = await two[1].reader(live.answer_id or "", 0, QUICK)
    assert there is not None
    with there:
        await anext(there)
    await told.closed.wait()


async def test_an_unknown_id_is_none_of_the_other_workers(two: list[ResumableAnswers]):
    assert await two[0].reader("A" * 24) is None
    live = two[1].begin(Told().source(), "text")
    with live.reader():
        # No id reaches another key of an answer.
        for name in ("", "x", f"{live.answer_id}:events", "*" * 24):
            assert await two[0].reader(name) is None
            assert not await two[0].stop(name)


async def test_a_slow_reader_at_the_other_worker_counts_as_long_as_it_is_connected(
    two: list[ResumableAnswers], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_mirror, "_PRESENT", 500)
    told = Told()
    live = two[0].begin(told.source(), "text")
    told.say("a")
    with live.reader() as here:
        await anext(here)
    there = await two[1].reader(live.answer_id or "", 0, QUICK)
    assert there is not None
    await anext(there)
    await asyncio.sleep(2)  # writes what it got, and asks for nothing
    assert live.running
    told.say(None)
    assert [event.kind for event in await rest_of(there)] == ["end"]


async def test_a_worker_that_died_leaves_its_readers_an_end(two: list[ResumableAnswers]):
    told = Told()
    live = two[0].begin(told.source(), "text")
    told.say("a")
    with live.reader() as here:
        await anext(here)
        there = await two[1].reader(live.answer_id or "", 0, QUICK)
        assert there is not None
        assert words_of(events_in(await anext(there))) == ["a"]
        # As if nobody renewed it any more.
        await two[1]._mirror._redis().delete(f"deepseek-async:answer:{live.answer_id}:state")  # type: ignore[union-attr]
        assert [event.kind for event in await rest_of(there)] == ["failed"]


async def test_without_redis_readers_of_the_same_worker_miss_nothing(redis: RedisServer):
    async with ResumableAnswers(redis.url) as answers:
        await redis.kill()
        told = Told()
        live = answers.begin(told.source(), "text")
        told.say("a", None)
        with live.reader() as here:
            assert next(event.kind for event in events_in(await anext(here))) == "message"
        assert words_of(await rest_of(await answers.reader(live.answer_id or ""))) == ["a"]
        with pytest.raises(APIConnectionError, match="answers cannot be resumed without Redis"):
            await answers.reader("A" * 24)


async def test_what_was_said_while_redis_was_away_is_there_when_it_is_back(redis: RedisServer):
    async with ResumableAnswers(redis.url, grace=60) as here, ResumableAnswers(redis.url) as there:
        told = Told()
        live = here.begin(told.source(), "text")
        with live.reader() as reader:
            await redis.kill()
            told.say("a", "b")
            assert await anext(reader)
            await redis.start()
            told.say(None)
            await until(lambda: not here._mirror._owned)  # type: ignore[union-attr]
        rest = await there.reader(live.answer_id or "", 0, QUICK)
        assert words_of(await rest_of(rest)) == ["a", "b"]
