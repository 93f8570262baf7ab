"""Requests and tokens a minute, on time that is handed in."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import until

from deepseek_async.admission.rate_limits import RateLimits, TokenBucket, request_limiter


@pytest.mark.parametrize(
    ("per_minute", "burst", "period"),
    [(1, 1, 60), (60, 1, 1), (6000, 1, 0.01), (6001, 2, 120 / 6001), (60_000, 10, 0.01), (0.5, 1, 120)],
)
def test_requests_are_spaced_evenly(per_minute: float, burst: float, period: float):
    limiter = request_limiter(per_minute)
    assert (limiter.max_rate, limiter.time_period) == pytest.approx((burst, period))


def test_tokens_within_a_second_of_rate_start_at_once_and_the_rest_waits():
    bucket = TokenBucket(60_000)
    assert [bucket.reserve(500, 0.0) for _ in range(4)] == [0, 0, 0.5, 1.0]


def test_an_idle_minute_saves_up_one_second_only():
    bucket = TokenBucket(60_000)
    bucket.reserve(1000, 0.0)
    assert [bucket.reserve(1000, 60.0) for _ in range(2)] == [0, 1.0]


def test_a_request_larger_than_the_bucket_starts_when_it_is_full_and_the_debt_is_paid_before_the_next():
    bucket = TokenBucket(60_000)
    assert bucket.reserve(10_000, 0.0) == 0
    assert bucket.reserve(1, 0.0) == pytest.approx(9.001)


def test_settling_gives_back_what_was_not_used_and_charges_what_was_used_more():
    bucket = TokenBucket(60_000)
    bucket.reserve(1000, 0.0)
    bucket.settle(1000, 0)
    assert bucket.reserve(1000, 0.0) == 0
    bucket.settle(1000, 3000)
    assert bucket.reserve(1, 0.0) == pytest.approx(2.001)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3000)), min_size=1, max_size=40))
def test_no_more_than_the_rate_and_one_request_passes_in_any_time(steps: list[tuple[float, int]]):
    """At any start, what has started since the beginning is within the rate, a second of it, and the last request."""
    bucket = TokenBucket(60_000)
    now = total = last_start = 0.0
    for pause, tokens in steps:
        now += pause
        start = now + bucket.reserve(tokens, now)
        assert start >= last_start - 1e-6, "a later request overtook an earlier one"
        last_start = start
        total += tokens
        assert total <= 1000 * (start + 1) + tokens + 1e-3


async def test_tokens_of_a_cancelled_wait_are_given_back():
    limits = RateLimits(None, 60)
    await limits.wait(60)
    bucket = limits._tokens
    assert bucket is not None
    before = bucket._paid_until
    waiting = asyncio.ensure_future(limits.wait(600))
    await until(lambda: bucket._paid_until > before)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bucket._paid_until == pytest.approx(before)


async def test_a_request_that_was_not_sent_is_left_to_the_next_one():
    limits = RateLimits(60, None)
    await limits.wait(0)
    limits.cancel(0)
    waiting = asyncio.ensure_future(limits.wait(0))
    await until(waiting.done, seconds=0.5)
    assert waiting.done(), "it did not wait"


async def test_a_wait_that_would_end_after_the_deadline_is_not_begun():
    limits = RateLimits(None, 60)
    await limits.wait(1)
    now = asyncio.get_running_loop().time()
    assert limits._tokens is not None
    limits._tokens.settle(1, 31)  # half a minute is owed
    before = limits._tokens._paid_until
    waiting = asyncio.ensure_future(limits.wait(1, until=now + 5))
    await until(waiting.done, seconds=2)
    assert waiting.done()
    assert isinstance(waiting.exception(), TimeoutError)
    assert limits._tokens._paid_until == pytest.approx(before), "its tokens are given back"


async def test_a_wait_without_limits_passes():
    limits = RateLimits(None, None)
    await limits.wait(10**9)
    limits.settle(10**9, 0)
    assert not limits.counts_tokens
    assert RateLimits(None, 5).counts_tokens
    assert math.isinf(TokenBucket(5)._paid_until)
