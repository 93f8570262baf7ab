"""How an attempt ends, and what each ending means to window, breaker, tokens and credit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.waiting import settled, until

from deepseek_async.admission import AccountLimiter, Blame, BreakerPolicy, Lease
from deepseek_async.admission.concurrency_limit import Attempt, FixedLimit
from deepseek_async.admission.outage.breaker import Breaker
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.errors import APIConnectionError, CircuitOpenError, RateLimitError, ServerOverloadedError
from deepseek_async.types import CompletionUsage


class Told(FixedLimit):
    """A window that notes what it is told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.told: list[str] = []

    def refused(self, attempt: Attempt, now: float, **numbers) -> None:
        self.told.append(f"refused {numbers['limit']}")
        super().refused(attempt, now)

    def throttled(self, attempt: Attempt, now: float, until: float) -> None:
        self.told.append(f"throttled {until - now:.0f}")
        FixedLimit.ended(self, attempt, now)

    def ended(self, attempt: Attempt, now: float, *, failed: bool = False, overload: bool = False) -> None:
        if attempt.open and not self.told:
            self.told.append("overload" if overload else "ended")
        super().ended(attempt, now)


class Recording(RateLimits):
    def __init__(self) -> None:
        super().__init__(None, 1e9)
        self.settled: list[int] = []

    def settle(self, reserved: int, used: int) -> None:
        self.settled.append(used - reserved)

    def cancel(self, reserved: int) -> None:
        self.settled.append(-reserved)


class Counting(Breaker):
    """A breaker that notes what it is told."""

    def __init__(self, policy: BreakerPolicy, chance: Callable[[], float]) -> None:
        super().__init__(policy, chance)
        self.told: list[str] = []

    def succeeded(self, began: float, now: float) -> bool:
        self.told.append("success")
        return super().succeeded(began, now)

    def failed(self, owner: object, began: float, now: float, taken: int = 0, *, alone: bool = True) -> bool:
        self.told.append("failure")
        return super().failed(owner, began, now, taken, alone=alone)


SUCCESS, FAILURE, NOTHING = ["success"], ["failure"], []

ENDINGS = {
    "served": (lambda lease: lease.served(CompletionUsage(total_tokens=70)), "ended", SUCCESS, -30, 10),
    "served without usage": (lambda lease: lease.served(None), "ended", SUCCESS, 0, 10),
    "refused": (lambda lease: lease.refused(limit=5, current=6), "refused 5", NOTHING, -100, 9),
    "throttled": (lambda lease: lease.throttled(2.0), "throttled 2", NOTHING, -100, 9),
    "declined": (lambda lease: lease.declined(), "ended", NOTHING, -100, 9),
    "faulted": (lambda lease: lease.faulted(), "ended", FAILURE, None, 9),
    "overloaded": (lambda lease: lease.faulted(overload=True), "overload", FAILURE, None, 9),
    "not reached": (lambda lease: lease.faulted(blame=Blame.ORIGIN), "ended", NOTHING, None, 9),
    "our own doing": (lambda lease: lease.faulted(blame=Blame.NOBODY), "ended", NOTHING, None, 9),
    "abandoned after sending": (lambda lease: lease.abandoned(sent=True), "ended", NOTHING, None, 9),
    "abandoned before sending": (lambda lease: lease.abandoned(sent=False), "ended", NOTHING, -100, 9),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_each_ending_is_told_once_to_everyone_whom_it_concerns(name: str, monkeypatch: pytest.MonkeyPatch):
    end, window_is_told, breaker_is_told, settled, credit = ENDINGS[name]
    monkeypatch.setattr("deepseek_async.admission.account_limiter.Breaker", Counting)
    window, rates = Told(), Recording()
    account_limiter = AccountLimiter(lambda _: window, breaker=BreakerPolicy())
    monkeypatch.setattr(account_limiter, "rates", rates)
    limiter = account_limiter.limiter("m")
    lease = await limiter.admit(0, 100, bulk=False)
    assert limiter.retries.spend(account_limiter.loop.time())
    assert (lease.open, window.in_flight) == (True, 1)
    end(lease)
    for again, *_ in ENDINGS.values():
        again(lease)
    assert (lease.open, window.in_flight) == (False, 0)
    assert window.told == [window_is_told]
    assert isinstance(limiter.breaker, Counting)
    assert limiter.breaker.told == breaker_is_told
    assert isinstance(account_limiter.origin.breaker, Counting)
    reached = name not in {"not reached", "our own doing"} and "abandoned" not in name
    assert account_limiter.origin.breaker.told == (
        ["success"] if reached else ["failure"] if name == "not reached" else []
    )
    # What is kept as it was reserved need not be settled, or may be settled to the same.
    assert [change for change in rates.settled if change] == ([settled] if settled else [])
    assert limiter.retries.credit.balance == credit


def gate_of(size: int = 1, **options) -> AccountLimiter:
    return AccountLimiter(lambda _: FixedLimit(size), **options)


async def admitted(account_limiter: AccountLimiter, *, tokens: int = 0, bulk: bool = False) -> Lease:
    limiter = account_limiter.limiter("m")
    return limiter.admit_nowait(tokens, bulk=bulk) or await limiter.admit(next(limiter.tickets), tokens, bulk=bulk)


async def test_a_gate_counts_who_is_in_and_who_waits():
    account_limiter = gate_of()
    lease = await admitted(account_limiter)
    waiting = asyncio.ensure_future(admitted(account_limiter))
    await until(lambda: account_limiter.waiting == 1)
    assert (account_limiter.in_flight, account_limiter.waiting) == (1, 1)
    lease.served(None)
    (await waiting).served(None)
    assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)


async def test_models_do_not_share_their_slots():
    account_limiter = gate_of()
    one, other = (
        account_limiter.limiter("a").admit_nowait(0, bulk=False),
        account_limiter.limiter("b").admit_nowait(0, bulk=False),
    )
    assert one is not None
    assert other is not None
    assert account_limiter.limiter("a").admit_nowait(0, bulk=False) is None
    assert account_limiter.in_flight == 2


async def test_names_of_models_do_not_fill_the_memory():
    account_limiter = gate_of()
    held = account_limiter.limiter("held").admit_nowait(0, bulk=False)
    for number in range(1000):
        account_limiter.limiter(str(number))
    assert len(account_limiter.limiters) <= 257
    assert held is not None
    assert account_limiter.limiter("held").window.in_flight == 1


async def test_tokens_reserved_for_a_wait_that_is_cancelled_are_given_back():
    account_limiter = gate_of(tokens_per_minute=60_000)
    lease = await admitted(account_limiter, tokens=500)
    tokens = account_limiter.rates._tokens
    before = tokens._paid_until
    waiting = asyncio.ensure_future(admitted(account_limiter, tokens=50))
    await until(lambda: tokens._paid_until > before)
    assert tokens._paid_until > before
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert tokens._paid_until == pytest.approx(before, abs=1e-9)
    lease.refused()
    assert account_limiter.in_flight == 0


async def test_only_a_tokens_limit_asks_for_an_estimate():
    assert not gate_of().counts_tokens
    assert not gate_of(requests_per_minute=60).counts_tokens
    assert gate_of(tokens_per_minute=60).counts_tokens


async def test_an_open_breaker_refuses_interactive_calls_and_keeps_bulk_waiting():
    account_limiter = gate_of(size=5, breaker=BreakerPolicy(failure_threshold=1))
    lease = await admitted(account_limiter)
    for _ in range(4):
        await admitted(account_limiter)
    interactive = asyncio.ensure_future(admitted(account_limiter))
    bulk = asyncio.ensure_future(admitted(account_limiter, bulk=True))
    await until(lambda: account_limiter.waiting == 2)
    lease.faulted()
    with pytest.raises(CircuitOpenError, match="not sent, retry in") as caught:
        await interactive
    assert 54 <= caught.value.retry_after <= 66
    assert (caught.value.scope, caught.value.origin_down) == ("m", False)
    with pytest.raises(CircuitOpenError):
        await admitted(account_limiter)
    assert not bulk.done()
    account_limiter.reset()
    await bulk
    assert account_limiter.limiter("m").statistics().breaker == "closed"


async def test_an_origin_that_never_answered_refuses_bulk_too():
    account_limiter = gate_of(size=2, breaker=BreakerPolicy(failure_threshold=1), origin="http://nowhere")
    (await admitted(account_limiter, bulk=True)).faulted(blame=Blame.ORIGIN)
    with pytest.raises(CircuitOpenError, match="http://nowhere") as caught:
        await admitted(account_limiter, bulk=True)
    assert caught.value.origin_down


async def test_an_origin_that_answered_before_is_waited_for_by_bulk_of_every_model():
    account_limiter = gate_of(size=2, breaker=BreakerPolicy(failure_threshold=1))
    (await admitted(account_limiter)).served(None)
    (await admitted(account_limiter)).faulted(blame=Blame.ORIGIN)
    other = account_limiter.limiter("other")
    waiting = asyncio.ensure_future(other.admit(0, 0, bulk=True))
    await settled()
    assert not waiting.done()
    with pytest.raises(CircuitOpenError):
        await other.admit(1, 0, bulk=False)
    account_limiter.reset()
    await waiting


async def test_one_attempt_at_a_time_probes_an_open_breaker():
    account_limiter = gate_of(size=5, breaker=BreakerPolicy(failure_threshold=1, reset_timeout=0.01))
    (await admitted(account_limiter)).faulted()
    first, second = (asyncio.ensure_future(admitted(account_limiter, bulk=True)) for _ in range(2))
    probe = await first
    await settled()
    assert not second.done()
    probe.content_began()
    (await second).served(None)
    assert account_limiter.limiter("m").statistics().breaker == "closed"


async def test_a_probe_that_is_given_up_leaves_its_place_to_the_next():
    account_limiter = gate_of(size=5, breaker=BreakerPolicy(failure_threshold=1, reset_timeout=0.01))
    (await admitted(account_limiter)).faulted()
    first, second = (asyncio.ensure_future(admitted(account_limiter, bulk=True)) for _ in range(2))
    (await first).abandoned(sent=True)
    (await second).served(None)


async def test_a_long_pause_is_told_to_an_interactive_call_and_waited_out_by_bulk():
    account_limiter = gate_of()
    limiter = account_limiter.limiter("m")
    limiter.pause(600, RateLimitError("429: slow down", retry_after=600.0, attempts=3))
    with pytest.raises(RateLimitError, match="slow down") as caught:
        await admitted(account_limiter)
    assert 599 < caught.value.retry_after <= 600
    assert caught.value.attempts == 0
    waiting = asyncio.ensure_future(admitted(account_limiter, bulk=True))
    await until(lambda: account_limiter.waiting == 1)
    assert (account_limiter.waiting, account_limiter.in_flight) == (1, 0)
    limiter.reset()
    await waiting


async def test_whoever_waits_is_told_when_there_is_nothing_to_wait_for():
    account_limiter = gate_of()
    lease = await admitted(account_limiter)
    waiting = [asyncio.ensure_future(admitted(account_limiter, bulk=bulk)) for bulk in (True, False)]
    await until(lambda: account_limiter.waiting == 2)
    account_limiter.dismiss(APIConnectionError("closed"))
    for each in waiting:
        with pytest.raises(APIConnectionError, match="closed"):
            await each
    lease.served(None)
    assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)


async def spend_all(account_limiter: AccountLimiter) -> None:
    limiter = account_limiter.limiter("m")
    while limiter.retries.credit.spend():
        pass


async def test_bulk_waits_for_retry_credit_until_something_succeeds():
    account_limiter = gate_of(size=10)
    await spend_all(account_limiter)
    running = [await admitted(account_limiter) for _ in range(3)]
    waiting = [asyncio.ensure_future(account_limiter.limiter("m").retries.wait()) for _ in range(20)]
    await until(lambda: account_limiter.limiter("m").statistics().waiting_for_credit == 20)
    running[0].faulted()
    await settled()
    assert not any(each.done() for each in waiting)
    running[1].served(None)
    await asyncio.gather(*waiting)
    running[2].served(None)
    assert account_limiter.limiter("m").retries._timer is None


async def test_without_anything_in_flight_one_row_may_try_without_credit():
    account_limiter = gate_of()
    await spend_all(account_limiter)
    await asyncio.wait_for(account_limiter.limiter("m").retries.wait(), 120)
    other = asyncio.ensure_future(account_limiter.limiter("m").retries.wait())
    await until(lambda: account_limiter.limiter("m").statistics().waiting_for_credit)
    assert not other.done()
    assert account_limiter.limiter("m").statistics().waiting_for_credit == 1
    other.cancel()
    await until(other.cancelled)
    assert account_limiter.limiter("m").retries._timer is None


async def test_the_end_of_an_outage_releases_the_rows_that_waited_for_credit():
    account_limiter = gate_of(size=10, breaker=BreakerPolicy(failure_threshold=1, reset_timeout=0.01))
    await spend_all(account_limiter)
    lease = await admitted(account_limiter)
    held = await admitted(account_limiter)
    waiting = asyncio.ensure_future(account_limiter.limiter("m").retries.wait())
    await until(lambda: account_limiter.limiter("m").statistics().waiting_for_credit)
    lease.faulted()
    probe = await admitted(account_limiter, bulk=True)
    assert not waiting.done()
    probe.served(None)
    await waiting
    held.served(None)


async def test_running_out_of_descriptors_shrinks_the_scope_for_a_while():
    account_limiter = gate_of(size=100)
    limiter = account_limiter.limiter("m")
    leases = [await admitted(account_limiter) for _ in range(40)]
    limiter.out_of_descriptors()
    assert limiter.admit_nowait(0, bulk=False) is None
    policy, later = limiter.policy, account_limiter.loop.time() + 2
    assert not policy.may_start(later)
    for lease in leases[:33]:
        lease.served(None)
    assert policy.may_start(later), "40 were open, 32 are kept free: eight may run"
    assert policy.may_start(later + 60)
    for lease in leases:
        lease.abandoned(sent=False)


async def test_an_operator_reads_what_is_waited_for():
    account_limiter = gate_of(breaker=BreakerPolicy(failure_threshold=1))
    limiter = account_limiter.limiter("deepseek-flash")
    lease = limiter.admit_nowait(0, bulk=True)
    assert lease is not None
    waiting = asyncio.ensure_future(limiter.admit(0, 0, bulk=True))
    await until(lambda: limiter.queue.waiting)
    limiter.pause(30, ServerOverloadedError("503"))
    lease.faulted()
    text = str(limiter.statistics())
    assert "deepseek-flash: 0 of 1 in flight" in text
    assert "1 queued" in text
    assert "paused for 30 s" in text
    assert "breaker open" in text
    waiting.cancel()
    await until(waiting.cancelled)
