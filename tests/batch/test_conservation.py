"""Rows are conserved: what is read has a result, or the job says that and why it has none.

The schedules are drawn: how the limit moves, how each row ends and how long it takes, what the consumer does. No time
passes; a turn of the loop is the unit.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any

import pytest
from bulk import Bulk, Start, numbered
from support.thoroughness import often

from deepseek_async.batch import ExitCode
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.job import Job
from deepseek_async.errors import RowsLostError

SCHEDULES = often(10_000)
BLOCKS = 20
MOST_TURNS = 20_000
EAGER = (False, True) if sys.version_info >= (3, 12) else (False,)


class Kind(Enum):
    """How a row ends."""

    INSTANT = "at once, without a turn of the loop"
    YIELDING = "after some turns"
    SLOW = "when the schedule lets it"
    RAISING = "the work raises"
    CANCELLED = "somebody cancels what it waits for"


class Leaving(Enum):
    """What the consumer does before the end."""

    NOTHING = "takes every result"
    STOP = "stops the dispatcher"
    CLOSE = "takes no more results"


class Schedule:
    """One run, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.size = chance.choice((0, 1, 2, 5, 20, 60))
        self.ordered = chance.random() < 0.5
        self.eager = chance.choice(EAGER)
        self.moving = chance.random() < 0.8
        self.most = chance.choice((1, 2, 3, 8, 40))
        self.limit = chance.randint(1, self.most)
        ends_early = chance.random() < 0.4
        harmless = (Kind.INSTANT, Kind.YIELDING, Kind.SLOW)
        kinds = chance.sample(harmless, chance.randint(1, 3))
        self.kinds = [chance.choice(kinds) for _ in range(self.size)]
        self.leaving = chance.choice(tuple(Leaving)) if ends_early else Leaving.NOTHING
        self.leaves_after = chance.randint(0, self.size)
        if ends_early and self.size and chance.random() < 0.4:
            self.kinds[chance.randrange(self.size)] = chance.choice((Kind.RAISING, Kind.CANCELLED))
        self.source = chance.choice(("iterator", "generator", "async generator"))
        self.pace = chance.choice((0, 0, 1, 5))
        """Turns that the consumer takes for a result."""
        self.pulled: list[int] = []
        self.begun = 0
        self.waiting: dict[int, asyncio.Future[None]] = {}

    def rows(self) -> Any:
        def generated() -> Any:
            for row in range(self.size):
                self.pulled.append(row)
                yield row

        async def slowly() -> AsyncIterator[int]:
            for row in generated():
                for _ in range(self.chance.randint(0, 2)):
                    await asyncio.sleep(0)
                yield row

        return {"iterator": lambda: iter(generated()), "generator": generated, "async generator": slowly}[self.source]()

    async def work(self, row: int) -> int:
        self.begun += 1
        kind = self.kinds[row]
        if kind is Kind.YIELDING:
            for _ in range(self.chance.randint(1, 4)):
                await asyncio.sleep(0)
        elif kind is not Kind.INSTANT:
            future = self.waiting[row] = asyncio.get_running_loop().create_future()
            try:
                await future
            finally:
                del self.waiting[row]
        if kind is Kind.RAISING:
            raise RuntimeError("a bug in the work")
        return row

    def move(self) -> None:
        """What happens between two turns: the limit moves, some of the slow rows end."""
        chance = self.chance
        if self.moving and chance.random() < 0.3:
            self.limit = chance.choice((0, 1, chance.randint(1, self.most), self.most))
        together = chance.random() < 0.3
        for row, future in list(self.waiting.items()):
            if not future.done() and (together or chance.random() < 0.2):
                if self.kinds[row] is Kind.CANCELLED:
                    future.cancel()
                else:
                    future.set_result(None)


class Run:
    """A schedule on a loop, to its end."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.dispatcher: Dispatcher[int, int] = Dispatcher(
            schedule.rows(),
            schedule.work,
            concurrency=(lambda: schedule.limit) if schedule.moving else max(1, schedule.limit),
            ordered=schedule.ordered,
        )
        self.taken: list[int] = []
        self.error: BaseException | None = None

    async def run(self) -> None:
        if self.schedule.eager:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        consuming = asyncio.ensure_future(self._consume())
        for _ in range(MOST_TURNS):
            if consuming.done():
                break
            self.schedule.move()
            await asyncio.sleep(0)
        assert consuming.done(), "the work does not end"
        self.error = consuming.exception()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def _consume(self) -> None:
        schedule, results = self.schedule, self.dispatcher.results()
        try:
            async for row, result in results:
                assert row == result
                self.taken.append(row)
                for _ in range(schedule.pace):
                    await asyncio.sleep(0)
                if len(self.taken) >= schedule.leaves_after and schedule.leaving is not Leaving.NOTHING:
                    if schedule.leaving is Leaving.CLOSE:
                        return
                    self.dispatcher.stop()
        finally:
            await results.aclose()

    def judge(self) -> None:
        schedule = self.schedule
        ended = self.taken + [row for row, _ in self.dispatcher.untaken()]
        assert len(set(ended)) == len(ended), "a row has two results"
        assert self.dispatcher.in_flight == 0
        if schedule.ordered:
            assert self.taken == list(range(len(self.taken)))
        raised = {Kind.RAISING: RuntimeError, Kind.CANCELLED: RowsLostError}
        if self.error is not None:
            assert any(isinstance(self.error, raised[kind]) for kind in schedule.kinds if kind in raised), self.error
        elif schedule.leaving is not Leaving.CLOSE or not self.taken:
            assert sorted(ended) == schedule.pulled, "a row that was read has no result"
            if schedule.leaving is Leaving.NOTHING:
                assert sorted(ended) == list(range(schedule.size)), "rows were left unread"


@pytest.fixture
def _limit_looked_at_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_FOLLOWED", "_GROWING"):
        monkeypatch.setattr(f"deepseek_async.batch.dispatcher.{pause}", 0.0)


@pytest.mark.usefixtures("_limit_looked_at_each_turn")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_row_that_is_read_has_one_result_whatever_the_limit_and_the_rows_do(block: int):
    for seed in range(block * SCHEDULES // BLOCKS, (block + 1) * SCHEDULES // BLOCKS):
        run = Run(Schedule(seed))
        try:
            asyncio.run(run.run())
            run.judge()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize(("before", "after"), [(8, 4), (2, 1), (100, 90), (40, 0)])
async def test_rows_go_on_when_the_limit_shrinks_while_all_of_them_end_in_one_turn(
    monkeypatch: pytest.MonkeyPatch, before: int, after: int
):
    for pause in ("_FOLLOWED", "_GROWING"):
        monkeypatch.setattr(f"deepseek_async.batch.dispatcher.{pause}", 0.0)
    limit, opened = [before], asyncio.Event()

    async def work(row: int) -> int:
        await opened.wait()
        return row

    dispatcher = Dispatcher(range(1000), work, concurrency=lambda: limit[0])

    async def shrink() -> None:
        await turns_until(lambda: dispatcher.in_flight == before)
        limit[0] = after
        await turns_until(lambda: dispatcher._limit == max(1, after))
        opened.set()

    shrinking = asyncio.ensure_future(shrink())
    assert sorted([row async for row, _ in dispatcher.results()]) == list(range(1000))
    await shrinking


async def turns_until(condition: Callable[[], bool]) -> None:
    for _ in range(MOST_TURNS):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def test_a_job_that_lost_a_row_says_so_and_does_not_look_like_success(
    bulk: Bulk, monkeypatch: pytest.MonkeyPatch
):
    whole = Job._keep

    def forgetful(self: Job, due: Any, result: Any, *others: Any) -> None:
        if due.row.index != 7:
            whole(self, due, result, *others)

    monkeypatch.setattr(Job, "_keep", forgetful)
    bulk.ask(numbered(20))
    report = await bulk.run()

    assert isinstance(report.stopped, RowsLostError)
    assert (report.stopped.read, report.stopped.ended) == (20, 19)
    assert not report.complete
    assert report.exit_code == ExitCode.STOPPED
    monkeypatch.undo()
    assert (await bulk.run()).exit_code == ExitCode.OK
    assert len(bulk.named()) == 20


@pytest.mark.parametrize("seed", range(20))
async def test_rows_read_are_rows_ended_and_rows_left_over_any_sequence_of_runs(
    start: Start, seed: int, monkeypatch: pytest.MonkeyPatch
):
    chance = random.Random(seed)
    limit = [chance.randint(1, 20)]
    bulk = await start(client={"max_concurrency": 20, "lint": "off", "cache": chance.random() < 0.5})
    rows: list[Any] = [
        {**row, "temperature": 0, "max_tokens": 8, "thinking": {"type": "disabled"}} for row in numbered(150)
    ]
    for row in rows:
        fate = chance.random()
        if fate < 0.3:
            row["prompt"] = f"Question {chance.randint(0, 3)}"
        elif fate < 0.4:
            row["temperature"] = 7
    for _ in range(15):
        rows.insert(chance.randint(0, len(rows)), "no JSON")
    bulk.ask(rows)
    monkeypatch.setattr(bulk.client.batch, "_concurrency", lambda: limit[0])
    running: list[Job] = []

    def moved(_: Any) -> None:
        limit[0] = chance.choice((0, 1, 3, 20))
        if chance.random() < 0.1:
            running[-1].stop()

    done = 0
    for _ in range(20):
        dedupe = chance.random() < 0.7
        running.append(bulk.client.batch.job(bulk.source, bulk.output, dedupe=dedupe, fail_fast=0, on_progress=moved))
        report = await running[-1].run()
        assert report.rows >= done
        assert report.complete == (report.stopped is None)
        assert (report.exit_code == ExitCode.STOPPED) == (report.stopped is not None)
        done = report.rows
        if report.stopped is None:
            break
    assert done == len(rows)
    assert len(bulk.lines()) == len(rows)
