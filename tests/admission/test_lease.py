"""How an attempt ends, and what each ending means to slot and tokens."""

from __future__ import annotations

import asyncio

import pytest

from deepseek_async.admission import Gate, Lease
from deepseek_async.admission.rate import RateLimits
from deepseek_async.admission.slots import Slots
from deepseek_async.types import CompletionUsage

ENDINGS = {
    "served": (lambda lease: lease.served(CompletionUsage(total_tokens=70)), 70),
    "served without usage": (lambda lease: lease.served(None), 100),
    "refused": (lambda lease: lease.refused(), 0),
    "faulted": (lambda lease: lease.faulted(), 100),
    "abandoned after sending": (lambda lease: lease.abandoned(sent=True), 100),
    "abandoned before sending": (lambda lease: lease.abandoned(sent=False), 0),
}


class Recording(RateLimits):
    def __init__(self) -> None:
        super().__init__(None, 1e9)
        self.settled: list[tuple[int, int]] = []

    def settle(self, reserved: int, used: int) -> None:
        self.settled.append((reserved, used))


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_frees_the_slot_and_settles_the_tokens_once(name: str):
    end, used = ENDINGS[name]
    slots, rates = Slots(1), Recording()
    assert slots.take_nowait()
    lease = Lease(slots, rates, 100)
    assert lease.open
    end(lease)
    for again, _ in ENDINGS.values():
        again(lease)
    assert not lease.open
    assert slots.in_use == 0
    assert rates.settled == [(100, used)]


async def test_a_gate_counts_who_is_in_and_who_waits():
    gate = Gate(1)
    lease = await gate.admit()
    waiting = asyncio.ensure_future(gate.admit())
    await asyncio.sleep(0)
    assert (gate.in_flight, gate.waiting) == (1, 1)
    lease.served(None)
    (await waiting).served(None)
    assert (gate.in_flight, gate.waiting) == (0, 0)


async def test_tokens_reserved_for_a_wait_that_is_cancelled_are_given_back():
    gate = Gate(1, tokens_per_minute=1e9)
    lease = await gate.admit(10)
    rates = Recording()
    gate._rates = rates
    waiting = asyncio.ensure_future(gate.admit(50))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert rates.settled == [(50, 0)]
    lease.refused()
    assert gate.in_flight == 0


async def test_only_a_tokens_limit_asks_for_an_estimate():
    assert not Gate(1).counts_tokens
    assert not Gate(1, requests_per_minute=60).counts_tokens
    assert Gate(1, tokens_per_minute=60).counts_tokens
