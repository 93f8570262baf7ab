"""Equal requests under way at the same time are made once."""

from __future__ import annotations

import asyncio

import pytest
from support.waiting import until

from deepseek_async import ConfigurationError, InternalServerError
from deepseek_async.cache.coalescing import Flights


class Work:
    """Something that takes until it is told to end, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        return await asyncio.shield(self.end)


async def test_those_who_come_meanwhile_share_the_first_ones_result():
    flights: Flights[str] = Flights()
    work = Work()
    callers = [asyncio.ensure_future(flights.share(b"k", work)) for _ in range(50)]
    await until(lambda: work.begun)
    work.end.set_result("answer")
    assert await asyncio.gather(*callers) == [("answer", False)] + [("answer", True)] * 49
    assert (work.begun, len(flights)) == (1, 0)


async def test_another_key_is_another_flight():
    flights: Flights[str] = Flights()
    work = Work()
    work.end.set_result("x")
    await asyncio.gather(flights.share(b"a", work), flights.share(b"b", work))
    assert work.begun == 2


async def test_who_comes_after_the_end_begins_anew():
    flights: Flights[str] = Flights()
    work = Work()
    work.end.set_result("x")
    assert await flights.share(b"k", work) == ("x", False)
    assert await flights.share(b"k", work) == ("x", False)


async def test_all_get_the_same_failure_each_as_its_own_object():
    flights: Flights[str] = Flights()
    work = Work()
    callers = [asyncio.ensure_future(flights.share(b"k", work)) for _ in range(3)]
    await until(lambda: work.begun)
    work.end.set_exception(InternalServerError("down", status_code=500))
    errors = await asyncio.gather(*callers, return_exceptions=True)
    assert [(type(error), error.status_code) for error in errors] == [(InternalServerError, 500)] * 3
    assert len({id(error) for error in errors}) == 3
    assert work.begun == 1


async def test_a_cancelled_first_caller_hands_the_work_on():
    flights: Flights[str] = Flights()
    work = Work()
    first, second, third = (asyncio.ensure_future(flights.share(b"k", work)) for _ in range(3))
    await until(lambda: work.begun)
    first.cancel()
    await asyncio.wait([first])
    await until(lambda: work.begun == 2)
    work.end.set_result("answer")
    assert await asyncio.gather(second, third) == [("answer", False), ("answer", True)]
    assert (work.begun, len(flights)) == (2, 0)


async def test_a_cancelled_waiter_disturbs_nobody():
    flights: Flights[str] = Flights()
    work = Work()
    first, second = (asyncio.ensure_future(flights.share(b"k", work)) for _ in range(2))
    await until(lambda: work.begun)
    second.cancel()
    await asyncio.wait([second])
    work.end.set_result("answer")
    assert await first == ("answer", False)


async def test_a_failure_that_nobody_else_waits_for_is_not_warned_about():
    async def fails() -> str:
        raise ConfigurationError("wrong")

    with pytest.raises(ConfigurationError):
        await Flights[str]().share(b"k", fails)
