"""Many rows through one piece of work: how many at once, how far ahead, in which order, and how it ends.

Each piece of work waits for a future that the test ends, so the order of ends is the test's and no time passes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.thoroughness import often
from support.waiting import settled, until

from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.errors import RowsLostError

CONCURRENCY = 3
UNORDERED_WINDOW = 2 * CONCURRENCY
ORDERED_WINDOW = 4 * CONCURRENCY


class Desk:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.running: dict[Any, asyncio.Future[Any]] = {}
        self.started: list[Any] = []
        self.cancelled: list[Any] = []
        self.most = 0

    async def work(self, row: Any) -> Any:
        self.started.append(row)
        future = self.running[row] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.running))
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled.append(row)
            raise
        finally:
            del self.running[row]

    def end(self, *rows: Any) -> None:
        for row in rows:
            self.running[row].set_result(row)

    def fail(self, row: Any, error: BaseException) -> None:
        self.running[row].set_exception(error)


class Source:
    """Numbers, and how many of them were pulled."""

    def __init__(self, size: int | None = None) -> None:
        self._numbers = count() if size is None else iter(range(size))
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        number = next(self._numbers)
        self.pulled += 1
        return number


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def echo(row: Any) -> Any:
    return row


async def collect(dispatcher: Dispatcher[Any, Any]) -> list[Any]:
    return [result async for _, result in dispatcher.results()]


async def generated(rows: Iterable[Any]) -> AsyncIterator[Any]:
    for row in rows:
        await asyncio.sleep(0)
        yield row


async def test_at_most_as_many_rows_at_a_time_as_were_asked_for():
    desk = Desk()
    collecting = asyncio.create_task(collect(Dispatcher(range(50), desk.work, concurrency=CONCURRENCY)))
    while not collecting.done():
        await settled()
        assert len(desk.running) <= CONCURRENCY
        desk.end(*list(desk.running))

    assert sorted(collecting.result()) == list(range(50))
    assert desk.most == CONCURRENCY


async def test_a_limit_that_moves_is_followed_up_and_down_and_bounds_what_is_pulled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepseek_async.batch.dispatcher._FOLLOWED", 0.001)
    desk, source, limit = Desk(), Source(20), [2]
    dispatcher = Dispatcher(source, desk.work, concurrency=lambda: limit[0])
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    assert (len(desk.running), source.pulled) == (2, 2)
    limit[0] = 6
    await until(lambda: len(desk.running) == 6)  # it grows while every worker waits
    assert source.pulled == 6
    limit[0] = 3
    await until(lambda: dispatcher._limit == 3)
    for _ in range(4):
        desk.end(next(iter(desk.running)))
        await settled()
    assert len(desk.running) == 3
    while not collecting.done():
        assert len(desk.running) <= 3
        desk.end(*list(desk.running))
        await settled()
    assert sorted(collecting.result()) == list(range(20))


async def test_three_rows_do_not_start_a_thousand_tasks():
    desk = Desk()
    collecting = asyncio.create_task(collect(Dispatcher(range(3), desk.work, concurrency=1000)))
    await settled()

    assert len(desk.running) == 3
    assert len(others()) <= 5
    desk.end(0, 1, 2)
    assert sorted(await collecting) == [0, 1, 2]


@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, lambda rows: (row for row in rows), generated, dict.fromkeys],
    ids=["list", "tuple", "iterator", "generator", "async generator", "dict"],
)
@pytest.mark.parametrize("size", [0, 1, CONCURRENCY, 40])
@pytest.mark.parametrize("ordered", [True, False])
async def test_every_kind_of_source_is_answered_once_and_to_its_end(make: Any, size: int, ordered: bool):
    results = await collect(Dispatcher(make(range(size)), echo, concurrency=CONCURRENCY, ordered=ordered))

    assert (results if ordered else sorted(results)) == list(range(size))
    assert not others()


@pytest.mark.parametrize(("ordered", "window"), [(False, UNORDERED_WINDOW), (True, ORDERED_WINDOW)])
async def test_rows_are_pulled_only_as_far_ahead_as_the_window(ordered: bool, window: int):
    source = Source()
    dispatcher = Dispatcher(source, echo, concurrency=CONCURRENCY, ordered=ordered)
    async with aclosing(dispatcher.results()) as results:
        for taken in range(1, 30):
            await anext(results)
            await settled()
            assert source.pulled <= taken + window


async def test_nothing_is_pulled_before_the_first_result_is_asked_for():
    source = Source()
    dispatcher = Dispatcher(source, echo, concurrency=CONCURRENCY)
    results = dispatcher.results()
    await settled()

    assert source.pulled == 0
    await results.aclose()


async def test_unordered_results_come_as_they_end():
    desk = Desk()
    dispatcher = Dispatcher(range(3), desk.work, concurrency=CONCURRENCY)
    async with aclosing(dispatcher.results()) as results:
        for row in (2, 0, 1):
            following = asyncio.ensure_future(anext(results))
            await settled()
            desk.end(row)
            assert await following == (row, row)


async def test_a_slow_head_holds_back_its_followers_and_a_bounded_number_of_them():
    desk, source = Desk(), Source()
    dispatcher = Dispatcher(source, desk.work, concurrency=CONCURRENCY, ordered=True)
    async with aclosing(dispatcher.results()) as results:
        first = asyncio.ensure_future(anext(results))
        for _ in range(100):
            await settled()
            desk.end(*[row for row in desk.running if row != 0])
        assert not first.done()
        assert source.pulled == ORDERED_WINDOW
        assert len(dispatcher._early) <= ORDERED_WINDOW
        desk.end(0)

        assert await first == (0, 0)
        assert [(await anext(results))[1] for _ in range(ORDERED_WINDOW - 1)] == list(range(1, ORDERED_WINDOW))


@given(st.randoms(), st.integers(0, 60), st.integers(1, 8))
@settings(max_examples=often(50))
def test_ordered_results_are_in_order_whatever_ends_first(chance: random.Random, size: int, concurrency: int):
    async def run() -> list[int]:
        desk = Desk()
        dispatcher = Dispatcher(range(size), desk.work, concurrency=concurrency, ordered=True)
        collecting = asyncio.create_task(collect(dispatcher))
        try:
            while not collecting.done():
                await asyncio.sleep(0)
                for row in list(desk.running):
                    if not desk.running[row].done() and chance.random() < 0.3:
                        desk.end(row)
            return collecting.result()
        finally:  # Hypothesis leaves an example in its middle when it has drawn enough
            collecting.cancel()
            await asyncio.wait([collecting])

    assert asyncio.run(run()) == list(range(size))


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_consumer_that_is_slower_than_the_work_holds_the_work_back(ordered: bool):
    desk = Desk()
    dispatcher = Dispatcher(Source(), desk.work, concurrency=CONCURRENCY, ordered=ordered)
    window = ORDERED_WINDOW if ordered else UNORDERED_WINDOW
    async with aclosing(dispatcher.results()) as results:
        following = asyncio.ensure_future(anext(results))
        for _ in range(50):
            await settled()
            desk.end(*list(desk.running))
        await following
        for _ in range(50):
            await settled()
            desk.end(*list(desk.running))

        assert len(desk.started) == window
        assert desk.running == {}
        await anext(results)
        await settled()
        assert len(desk.started) == window + 1, "a place is free again when its result was taken"


# Sources and work that fail


@pytest.mark.parametrize("kind", ["generator", "async generator"])
@pytest.mark.parametrize("ordered", [True, False])
async def test_what_the_source_raises_is_raised_after_the_rows_under_way_have_ended(kind: str, ordered: bool):
    def rows() -> Iterator[int]:
        yield from (0, 1)
        raise OSError("the disk is gone")

    desk, taken = Desk(), []
    source = rows() if kind == "generator" else generated(rows())
    dispatcher = Dispatcher(source, desk.work, concurrency=CONCURRENCY, ordered=ordered)

    async def consume() -> None:
        async for _, result in dispatcher.results():
            taken.append(result)

    consuming = asyncio.create_task(consume())
    await settled()
    desk.end(1)
    await settled()
    assert not consuming.done()
    desk.end(0)

    with pytest.raises(OSError, match="the disk is gone"):
        await consuming
    assert sorted(taken) == [0, 1]
    assert not others()


async def test_a_source_that_raises_at_once_is_raised():
    def rows() -> Iterator[int]:
        raise ValueError("no rows")
        yield 0

    with pytest.raises(ValueError, match="no rows"):
        await collect(Dispatcher(rows(), echo, concurrency=CONCURRENCY))


async def test_a_source_is_not_asked_again_after_it_has_raised():
    class Twice:
        def __init__(self) -> None:
            self.asked = 0

        def __aiter__(self) -> Twice:
            return self

        async def __anext__(self) -> int:
            self.asked += 1
            await settled()
            if self.asked == 3:
                raise OSError("once")
            return self.asked

    source = Twice()
    with pytest.raises(OSError, match="once"):
        await collect(Dispatcher(source, echo, concurrency=CONCURRENCY))
    assert source.asked == 3


async def test_what_the_work_raises_ends_the_others_at_once():
    desk = Desk()
    collecting = asyncio.create_task(collect(Dispatcher(Source(), desk.work, concurrency=CONCURRENCY)))
    await settled()
    desk.fail(1, RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        await collecting
    assert sorted(desk.cancelled) == [0, 2]
    assert not others()


async def test_results_before_a_failure_are_given_out_first():
    desk = Desk()
    dispatcher = Dispatcher(range(3), desk.work, concurrency=CONCURRENCY)
    async with aclosing(dispatcher.results()) as results:
        following = asyncio.ensure_future(anext(results))
        await settled()
        desk.end(0)
        desk.fail(1, RuntimeError("a bug"))

        assert await following == (0, 0)
        with pytest.raises(RuntimeError, match="a bug"):
            await anext(results)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_row_that_somebody_else_cancels_is_not_lost_without_a_word(ordered: bool):
    desk = Desk()
    dispatcher = Dispatcher(range(50), desk.work, concurrency=CONCURRENCY, ordered=ordered)
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    desk.running[1].cancel()

    # Not CancelledError: nobody has cancelled this task, which would end without a word.
    with pytest.raises(RowsLostError, match="cancelled by code outside"):
        await collecting
    assert sorted(desk.cancelled) == [0, 1, 2]
    assert not others()


async def test_a_worker_that_somebody_else_cancels_before_its_first_step_does_not_hang_the_job():
    collecting = asyncio.create_task(collect(Dispatcher(range(50), echo, concurrency=CONCURRENCY)))
    known = others()
    await until(lambda: bool(others() - known))
    for worker in others() - known:
        worker.cancel()

    with pytest.raises(RowsLostError):
        await collecting


async def test_a_row_without_a_result_is_told_and_not_taken_for_success():
    class Forgetful(Dispatcher[int, int]):
        def _finish(self, position: int, end: tuple[int, int]) -> None:
            if position != 7:
                super()._finish(position, end)

    with pytest.raises(RowsLostError, match="20 rows were read, but 19 have a result") as caught:
        await collect(Forgetful(range(20), echo, concurrency=CONCURRENCY))
    assert (caught.value.read, caught.value.ended) == (20, 19)


async def test_work_that_ends_with_rows_unread_is_told_and_not_taken_for_success():
    class Idle(Dispatcher[int, int]):
        def _has_room(self) -> bool:
            return super()._has_room() and self._pulled < 5

    with pytest.raises(RowsLostError, match="the source was not exhausted"):
        await collect(Idle(range(20), echo, concurrency=CONCURRENCY))


# Leaving early, stopping, cancelling


async def test_leaving_early_cancels_what_is_under_way_and_leaves_no_task():
    desk = Desk()
    dispatcher = Dispatcher(Source(), desk.work, concurrency=CONCURRENCY)
    async with aclosing(dispatcher.results()) as results:
        following = asyncio.ensure_future(anext(results))
        await settled()
        desk.end(1)
        await following
        await settled()

    assert not others()
    assert desk.running == {}
    assert dispatcher.in_flight == 0


async def test_work_may_clean_up_while_it_is_being_cancelled():
    cleaned = []

    async def work(row: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await settled()
            cleaned.append(row)

    results = Dispatcher(range(3), work, concurrency=CONCURRENCY).results()
    following = asyncio.ensure_future(anext(results))
    await settled()
    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following
    assert sorted(cleaned) == [0, 1, 2]


async def test_results_that_had_come_when_the_run_was_left_are_not_lost():
    desk = Desk()
    dispatcher = Dispatcher(range(3), desk.work, concurrency=CONCURRENCY)
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    desk.end(0, 2)
    # One turn: the workers have handed in their results, and the consumer has not yet looked.
    await asyncio.sleep(0)
    collecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await collecting

    assert sorted(dispatcher.untaken()) == [(0, 0), (2, 2)]


async def test_stop_pulls_no_more_and_finishes_what_is_under_way():
    desk, source = Desk(), Source()
    dispatcher = Dispatcher(source, desk.work, concurrency=CONCURRENCY)
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    dispatcher.stop()
    await settled()
    assert not collecting.done()
    desk.end(0, 1, 2)

    assert sorted(await collecting) == [0, 1, 2]
    assert source.pulled == CONCURRENCY
    assert not others()


@pytest.mark.parametrize("ordered", [True, False])
async def test_stop_ends_also_when_the_window_is_full(ordered: bool):
    desk = Desk()
    dispatcher = Dispatcher(Source(), desk.work, concurrency=CONCURRENCY, ordered=ordered)
    async with aclosing(dispatcher.results()) as results:
        following = asyncio.ensure_future(anext(results))
        for _ in range(20):
            await settled()
            desk.end(*list(desk.running))
        dispatcher.stop()
        taken = [(await following)[1]] + [result async for _, result in results]

    assert sorted(taken) == list(range(ORDERED_WINDOW if ordered else UNORDERED_WINDOW))


async def test_stop_before_the_start_pulls_nothing():
    source = Source()
    dispatcher = Dispatcher(source, echo, concurrency=CONCURRENCY)
    dispatcher.stop()

    assert await collect(dispatcher) == []
    assert source.pulled == 0


async def test_stop_keeps_workers_in_line_from_asking_an_async_source_again():
    account_limiters: deque[asyncio.Future[int]] = deque()

    async def rows() -> AsyncIterator[int]:
        while True:
            account_limiters.append(asyncio.get_running_loop().create_future())
            yield await account_limiters[-1]

    async with aclosing(rows()) as source:
        dispatcher = Dispatcher(source, echo, concurrency=CONCURRENCY)
        collecting = asyncio.create_task(collect(dispatcher))
        await settled()
        for row in range(CONCURRENCY):
            account_limiters[-1].set_result(row)
            await settled()
        dispatcher.stop()
        account_limiters[-1].set_result(99)

        assert await collecting == [0, 1, 2, 99]
    assert len(account_limiters) == CONCURRENCY + 1


@pytest.mark.parametrize("seed", range(30))
async def test_cancelling_at_any_moment_leaves_no_task_and_no_row_under_way(seed: int):
    chance = random.Random(seed)
    desk = Desk()
    source: Any = Source() if chance.random() < 0.5 else generated(Source())
    dispatcher = Dispatcher(source, desk.work, concurrency=chance.randint(1, 6), ordered=chance.random() < 0.5)
    collecting = asyncio.create_task(collect(dispatcher))
    for _ in range(chance.randint(0, 60)):
        await asyncio.sleep(0)
        for row in list(desk.running):
            if not desk.running[row].done() and chance.random() < 0.4:
                desk.end(row)
    collecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await collecting
    if not isinstance(source, Source):
        await source.aclose()

    assert not others()
    assert desk.running == {}
    assert dispatcher.in_flight == 0


async def test_the_end_of_a_row_is_told_before_the_next_row_is_begun():
    told: list[str] = []

    async def work(row: int) -> int:
        told.append(f"{row} begun")
        return row

    def ended(row: int, result: int) -> None:
        assert row == result
        told.append(f"{row} ended")

    assert await collect(Dispatcher(range(2), work, ended=ended, concurrency=1)) == [0, 1]
    assert told == ["0 begun", "0 ended", "1 begun", "1 ended"]


@pytest.mark.parametrize("ordered", [False, True])
async def test_once_stopped_rows_that_only_wait_are_given_back_and_the_others_finished(ordered: bool):
    desk, waiting = Desk(), {0, 2}
    dispatcher = Dispatcher(Source(), desk.work, concurrency=4, ordered=ordered, waits=waiting.__contains__)
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    dispatcher.stop()
    assert dispatcher.staying == 2
    await settled()
    assert (sorted(desk.cancelled), sorted(desk.running)) == ([0, 2], [1, 3])
    waiting.add(3)  # it has failed meanwhile, and waits to be tried again
    await until(lambda: desk.cancelled[-1] == 3)
    desk.end(1)

    assert await collecting == [1]
    assert not others()


async def test_without_being_stopped_a_row_that_waits_is_nobodys_business():
    desk = Desk()
    dispatcher = Dispatcher(range(3), desk.work, concurrency=3, waits=lambda _: True)
    collecting = asyncio.create_task(collect(dispatcher))
    await settled()
    desk.end(0, 1, 2)
    assert sorted(await collecting) == [0, 1, 2]
