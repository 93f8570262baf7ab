"""The feed on a virtual clock: it waits for leaders and for hours, and stops when told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from support.clock import Clock
from support.waiting import settled

from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row
from deepseek_async.batch.schedule.off_peak import OffPeak
from deepseek_async.batch.schedule.prefix_scheduler import Ticket
from deepseek_async.batch.schedule.row_feed import Order, RowFeed
from deepseek_async.pricing.prices import price_table

SYSTEM = "You are a careful reader of long documents. " * 100


@dataclass
class Asked:
    row: Row


def rows(number: int, system: str = SYSTEM) -> Iterator[Asked]:
    for index in range(number):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": f"Question {index}"}]
        yield Asked(Row(index, index + 1, body={"model": "deepseek-flash", "messages": messages}))


def feed_of(
    source: Iterator[Asked],
    *,
    order: Order = "prefix",
    clock: Clock | None = None,
    deadline: str | None = None,
    concurrency: int = 10,
) -> RowFeed[Asked]:
    hours = None
    if clock is not None:
        end = None if deadline is None else datetime.fromisoformat(deadline).replace(tzinfo=UTC).timestamp()
        hours = OffPeak(price_table(), end)
    return RowFeed(
        source,
        order=order,
        hours=hours,
        clock=clock or Clock("2026-11-24T00:00"),
        remaining=lambda: None,
        concurrency=concurrency,
    )


def answered(latency: float = 1.0) -> BatchResult:
    return BatchResult(index=0, attempts=1, latency=latency)


async def all_of(feed: RowFeed[Asked]) -> list[Ticket[Asked]]:
    return [ticket async for ticket in feed]


async def test_the_second_row_of_a_group_waits_for_the_end_of_the_first():
    feed = feed_of(rows(3))
    leader = await anext(feed)
    second = asyncio.create_task(anext(feed))  # type: ignore[arg-type]
    await settled()
    assert not second.done()

    feed.ended(leader, answered())
    assert (await second).row.row.index == 1
    assert (await anext(feed)).row.row.index == 2
    with pytest.raises(StopAsyncIteration):
        await anext(feed)


async def test_in_the_order_of_the_input_nobody_waits():
    assert [ticket.row.row.index for ticket in await all_of(feed_of(rows(5), order="input"))] == list(range(5))


async def test_what_the_source_raises_comes_after_the_rows_before_it():
    def broken() -> Iterator[Asked]:
        yield from rows(2)
        raise OSError("the disk is gone")

    feed = feed_of(broken())
    leader = await anext(feed)
    second = asyncio.create_task(anext(feed))  # type: ignore[arg-type]
    await settled()
    feed.ended(leader, answered())
    assert (await second).row.row.index == 1
    with pytest.raises(OSError, match="the disk is gone"):
        await anext(feed)


async def test_stopping_ends_the_wait_for_a_leader_and_drops_the_rows_that_waited():
    feed = feed_of(rows(3))
    await anext(feed)
    second = asyncio.create_task(anext(feed))  # type: ignore[arg-type]
    await settled()
    feed.stop()
    with pytest.raises(StopAsyncIteration):
        await second


async def test_a_row_that_is_none_is_handed_on():
    feed = feed_of(iter([Asked(Row(0, 1))]))
    ticket = await anext(feed)
    feed.ended(ticket, BatchResult(index=0))
    assert (ticket.shared, feed.predicted) == (0, 0)


async def test_a_leader_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepseek_async.batch.schedule.row_feed._LEADER_FLOOR", 0.01)
    monkeypatch.setattr("deepseek_async.batch.schedule.row_feed._LEADER_FACTOR", 0.0)
    feed = feed_of(rows(2))
    await anext(feed)

    async with asyncio.timeout(120):
        assert (await anext(feed)).row.row.index == 1


async def test_it_stops_before_peak_hours_sleeps_and_goes_on_by_itself():
    clock = Clock("2026-11-24T00:50")
    feed = feed_of(rows(100), order="input", clock=clock)
    starts: list[str] = []
    async for ticket in feed:
        starts.append(clock.hour())
        clock.now += 30
        feed.ended(ticket, answered(30.0))

    # Rows of 30 s: the last one before the morning's peak begins at 00:59:30, then from 04:00 on.
    assert starts[:19] == [f"00:{50 + number // 2}" for number in range(19)]
    assert [start for start in starts if "01:00" <= start < "04:00"] == []
    assert starts[20] == "04:00"
    assert len(starts) == 100
    assert feed.resumes_at is None


async def test_the_price_of_a_long_request_is_thought_of():
    clock = Clock("2026-11-24T00:00")
    feed = feed_of(rows(50), order="input", clock=clock)
    starts: list[str] = []
    async for ticket in feed:
        starts.append(clock.hour())
        clock.now += 600
        feed.ended(ticket, answered(600.0))

    assert starts[:7] == ["00:00", "00:10", "00:20", "00:30", "00:40", "00:50", "04:00"]


async def test_while_it_waits_it_says_until_when():
    clock = Clock("2026-11-24T02:00")
    clock.frozen = True
    feed = feed_of(rows(1), clock=clock)
    first = asyncio.create_task(anext(feed))  # type: ignore[arg-type]
    await clock.sleeping.wait()

    assert feed.resumes_at == datetime(2026, 11, 24, 4, tzinfo=UTC).timestamp()
    feed.stop()
    assert feed.resumes_at is None
    with pytest.raises(StopAsyncIteration):
        await first


async def test_with_a_deadline_it_works_in_peak_hours_as_long_as_it_takes():
    """100 rows of 72 s one after the other need two hours; the deadline leaves one off-peak."""
    clock = Clock("2026-11-24T02:00")
    left = 100
    feed = feed_of(rows(100), order="input", clock=clock, deadline="2026-11-24T05:00", concurrency=1)
    feed._remaining = lambda: left
    starts: list[str] = []
    async for ticket in feed:
        starts.append(clock.hour())
        clock.now += 72
        left -= 1
        feed.ended(ticket, answered(72.0))

    in_peak = [start for start in starts if start < "04:00"]
    assert clock.hour() <= "05:00"
    # No more of it than an hour, as much as fits into the hour at noon with a quarter to spare, can make needless.
    assert 40 <= len(in_peak) <= 70
    assert starts[len(in_peak)] == "04:00"


async def test_promises_are_counted_from_what_the_server_counts():
    feed = feed_of(rows(2))
    leader = await anext(feed)
    feed.ended(leader, usage_of(1000, 0))
    follower = await anext(feed)
    result = usage_of(1000, 896)
    feed.ended(follower, result)

    assert result.predicted_cached_tokens == feed.predicted
    assert 896 <= feed.predicted + 128 <= 1024
    assert feed.warnings() == []


async def test_hits_that_do_not_come_are_warned_about():
    feed = feed_of(rows(40))
    async for ticket in feed:
        feed.ended(ticket, usage_of(1000, 0))

    assert len(feed.warnings()) == 1
    assert "less than half of the predicted hits" in feed.warnings()[0]


def usage_of(prompt_tokens: int, cached: int) -> BatchResult:
    from deepseek_async.codec.chat_body import decode_completion

    wire = (
        b'{"choices":[{"message":{"content":"Yes."},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":%d,"completion_tokens":1,"prompt_cache_hit_tokens":%d}}' % (prompt_tokens, cached)
    )
    return BatchResult(index=0, attempts=1, latency=1.0, answer=decode_completion(wire))
