"""Slots under any order of asking, returning and cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.thoroughness import often
from support.waiting import settled, until

from deepseek_async.admission.admission_policy import AdmissionPolicy
from deepseek_async.admission.concurrency_limit import Attempt, FixedLimit
from deepseek_async.admission.wait_queue import WaitQueue


class Fixed(WaitQueue):
    """Slots over a window that does not move; whoever takes one gives it back by ``give_back``."""

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.clock = loop or asyncio.get_running_loop()
        super().__init__(AdmissionPolicy(FixedLimit(size)), self.clock)
        self.tickets = 0

    @property
    def in_use(self) -> int:
        return self.policy.window.in_flight

    async def next(self, *, bulk: bool = False) -> Attempt:
        self.tickets += 1
        return self.take_nowait(self.clock.time(), bulk=bulk) or await self.take(self.tickets, bulk=bulk)

    def give_back(self, attempt: Attempt, *, bulk: bool = False) -> None:
        now = self.clock.time()
        self.policy.give_up(attempt, now)
        self.freed(now, bulk=bulk)


class SlotsMachine(RuleBasedStateMachine):
    """Callers ask, finish and are cancelled at random, with a random number of loop steps in between.

    ``order`` is the model: callers in the order in which they asked, without those that were cancelled.
    """

    SIZE = 3

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue = Fixed(self.SIZE, self.loop)
        self.order: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.done: dict[int, asyncio.Event] = {}
        self.holding: list[int] = []
        self.served: list[int] = []
        self.asked = 0

    async def _hold(self, number: int) -> None:
        attempt = await self.queue.next()
        self.holding.append(number)
        self.served.append(number)
        try:
            await self.done[number].wait()
        finally:
            self.holding.remove(number)
            self.queue.give_back(attempt)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(coroutine)

    async def _step(self, steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)

    @rule(steps=st.integers(0, 2))
    def ask(self, steps: int) -> None:
        number = self.asked
        self.asked += 1
        self.done[number] = asyncio.Event()
        self.tasks[number] = self.loop.create_task(self._hold(number))
        self.order.append(number)
        self._run(self._step(steps))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), steps=st.integers(0, 2))
    def finish(self, data: st.DataObject, steps: int) -> None:
        self.done[data.draw(st.sampled_from(sorted(self.tasks)))].set()
        self._run(self._step(steps))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), steps=st.integers(0, 2))
    def cancel(self, data: st.DataObject, steps: int) -> None:
        self.tasks[data.draw(st.sampled_from(sorted(self.tasks)))].cancel()
        self._run(self._step(steps))

    @rule()
    def settle(self) -> None:
        self._run(self._step(10))
        waiting = [task for number, task in self.tasks.items() if not task.done() and number not in self.holding]
        assert len(waiting) == self.queue.waiting
        assert self.queue.in_use == len(self.holding)
        assert not waiting or self.queue.in_use == self.SIZE

    @invariant()
    def never_too_many(self) -> None:
        assert len(self.holding) <= self.SIZE
        assert 0 <= self.queue.in_use <= self.SIZE

    @invariant()
    def first_come_first_served(self) -> None:
        assert self.served == sorted(self.served)

    @invariant()
    def nobody_fails(self) -> None:
        for number, task in list(self.tasks.items()):
            if task.done():
                if not task.cancelled():
                    task.result()
                del self.tasks[number]

    def teardown(self) -> None:
        for event in self.done.values():
            event.set()
        self._run(self._step(10 + self.asked))
        self.nobody_fails()
        assert not self.tasks
        assert (self.queue.in_use, self.queue.waiting) == (0, 0)
        self.loop.close()


TestSlotsMachine = SlotsMachine.TestCase
TestSlotsMachine.settings = settings(max_examples=often(60), stateful_step_count=30, deadline=None)


async def waiter(slots: Fixed, *, bulk: bool = False) -> asyncio.Task[Attempt]:
    task = asyncio.ensure_future(slots.next(bulk=bulk))
    await asyncio.sleep(0)
    return task


async def test_a_free_slot_is_taken_at_once():
    slots = Fixed(1)
    assert slots.take_nowait(0.0)
    assert not slots.take_nowait(0.0)
    assert slots.in_use == 1


async def test_a_returned_slot_goes_to_the_first_waiter_even_if_another_asks_in_between():
    slots = Fixed(1)
    held = await slots.next()
    first = await waiter(slots)
    slots.give_back(held)
    assert not slots.take_nowait(0.0)
    await first
    assert slots.in_use == 1


async def test_a_waiter_cancelled_after_its_turn_came_passes_it_on():
    slots = Fixed(1)
    held = await slots.next()
    first, second = await waiter(slots), await waiter(slots)
    slots.give_back(held)
    first.cancel()
    await second
    assert first.cancelled()
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_slot_returned_while_the_only_waiter_is_being_cancelled_is_free():
    slots = Fixed(1)
    held = await slots.next()
    only = await waiter(slots)
    only.cancel()
    slots.give_back(held)
    with pytest.raises(asyncio.CancelledError):
        await only
    assert (slots.in_use, slots.waiting) == (0, 0)
    assert slots.take_nowait(0.0)


async def test_a_call_that_comes_back_keeps_its_place():
    slots = Fixed(1)
    held = await slots.next()
    later = [await waiter(slots) for _ in range(3)]
    returned = asyncio.ensure_future(slots.take(0))
    await settled()
    slots.give_back(held)
    slots.give_back(await returned)
    slots.give_back(await later[0])
    slots.give_back(await later[1])
    slots.give_back(await later[2])


async def test_an_interactive_call_overtakes_bulk_within_its_share():
    slots = Fixed(10)
    held = [await slots.next(bulk=True) for _ in range(10)]
    bulk = [await waiter(slots, bulk=True) for _ in range(3)]
    first, second = await waiter(slots), await waiter(slots)
    slots.give_back(held[0], bulk=True)
    await first
    slots.give_back(held[1], bulk=True)
    await bulk[0]
    assert not second.done(), "one of ten slots is the share; beyond it whoever came first is served first"
    slots.give_back(first.result())
    await second
    assert not bulk[1].done()
    for task in bulk[1:]:
        task.cancel()


async def test_bulk_may_use_the_whole_window_while_nobody_else_asks():
    slots = Fixed(10)
    for _ in range(10):
        await asyncio.wait_for(slots.next(bulk=True), 120)
    assert slots.in_use == 10


async def test_dismissed_callers_get_the_error_and_bulk_goes_on_waiting():
    slots = Fixed(1)
    held = await slots.next()
    interactive, bulk = await waiter(slots), await waiter(slots, bulk=True)
    slots.dismiss(lambda: RuntimeError("down"), bulk=False)
    with pytest.raises(RuntimeError, match="down"):
        await interactive
    slots.give_back(held)
    await bulk
    assert slots.waiting == 0


class Opening(FixedLimit):
    """A window that opens at a moment of its own."""

    def __init__(self, opens: float) -> None:
        super().__init__(1)
        self.opens = opens

    def may_send(self, now: float) -> bool:
        return now >= self.opens and super().may_send(now)

    def next_change(self, now: float) -> float | None:
        return self.opens


async def test_a_window_that_opens_by_time_alone_serves_the_queue_by_one_timer():
    loop = asyncio.get_running_loop()
    window = Opening(loop.time() + 0.2)
    slots = WaitQueue(AdmissionPolicy(window), loop)
    first = asyncio.ensure_future(slots.take(0))
    second = asyncio.ensure_future(slots.take(1))
    await until(lambda: slots.waiting == 2)
    timer = slots._timer
    assert timer is not None
    attempt = await first
    assert loop.time() >= window.opens - 0.002
    window.ended(attempt, loop.time())
    slots.freed(loop.time(), bulk=False)
    await second
    assert slots._timer is None


async def test_the_timer_goes_with_the_last_waiter():
    loop = asyncio.get_running_loop()
    slots = WaitQueue(AdmissionPolicy(Opening(loop.time() + 60)), loop)
    only = asyncio.ensure_future(slots.take(0))
    await until(lambda: slots.waiting)
    assert slots._timer is not None
    only.cancel()
    await until(only.cancelled)
    assert slots._timer is None


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_queue_is_served_on_every_kind_of_loop(make_loop: Callable[[], asyncio.AbstractEventLoop]):
    """A timer of uvloop that is due at once has no ``when``: found by a job of the command line."""

    async def ten_in_turn() -> None:
        loop = asyncio.get_running_loop()
        window = Opening(0.0)
        slots = WaitQueue(AdmissionPolicy(window), loop)
        asked = [asyncio.ensure_future(slots.take(number)) for number in range(10)]
        for each in asked:
            late = loop.time() - 0.01  # as seen by a step that has taken its time
            window.opens = late + 0.0005
            slots.serve(late)
            slots.serve(late)
            window.ended(await each, loop.time())
            window.opens = loop.time() + 0.002
            slots.freed(loop.time(), bulk=True)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(ten_in_turn())
