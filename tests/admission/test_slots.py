"""Slots under any order of asking, returning and cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deepseek_async.admission.slots import Slots


class SlotsMachine(RuleBasedStateMachine):
    """Callers ask, finish and are cancelled at random, with a random number of loop steps in between.

    ``order`` is the model: callers in the order in which they asked, without those that were cancelled.
    """

    SIZE = 3

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.slots = Slots(self.SIZE)
        self.order: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.done: dict[int, asyncio.Event] = {}
        self.holding: list[int] = []
        self.served: list[int] = []
        self.asked = 0

    async def _hold(self, number: int) -> None:
        await self.slots.take()
        self.holding.append(number)
        self.served.append(number)
        try:
            await self.done[number].wait()
        finally:
            self.holding.remove(number)
            self.slots.give_back()

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
        assert len(waiting) == self.slots.waiting
        assert self.slots.in_use == len(self.holding)
        assert not waiting or self.slots.in_use == self.SIZE

    @invariant()
    def never_too_many(self) -> None:
        assert len(self.holding) <= self.SIZE
        assert 0 <= self.slots.in_use <= self.SIZE

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
        assert (self.slots.in_use, self.slots.waiting) == (0, 0)
        self.loop.close()


TestSlotsMachine = SlotsMachine.TestCase
TestSlotsMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def waiter(slots: Slots) -> asyncio.Task[None]:
    task = asyncio.ensure_future(slots.take())
    await asyncio.sleep(0)
    return task


async def test_a_free_slot_is_taken_at_once():
    slots = Slots(1)
    assert slots.take_nowait()
    assert not slots.take_nowait()
    assert slots.in_use == 1


async def test_a_returned_slot_goes_to_the_first_waiter_even_if_another_asks_in_between():
    slots = Slots(1)
    await slots.take()
    first = await waiter(slots)
    slots.give_back()
    assert not slots.take_nowait()
    await first
    assert slots.in_use == 1


async def test_a_waiter_cancelled_after_its_turn_came_passes_it_on():
    slots = Slots(1)
    await slots.take()
    first, second = await waiter(slots), await waiter(slots)
    slots.give_back()
    first.cancel()
    await second
    assert first.cancelled()
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_slot_returned_while_the_only_waiter_is_being_cancelled_is_free():
    slots = Slots(1)
    await slots.take()
    only = await waiter(slots)
    only.cancel()
    slots.give_back()
    with pytest.raises(asyncio.CancelledError):
        await only
    assert (slots.in_use, slots.waiting) == (0, 0)
    assert slots.take_nowait()
