"""Whether to try again and after how long: plain arithmetic on the error, the attempt and chance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    BadRequestError,
    ConcurrencyLimitError,
    ConfigurationError,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
    StreamInterruptedError,
)
from deepseek_async.call.retry import Pause

RESET = APIConnectionError("reset")
FULL = ConcurrencyLimitError("429", limit=25, current=26)
PER_MINUTE = RateLimitError("429", per_minute=True)
STALE = APIConnectionError("closed while idle", reused=True)


def seconds_before(policy: RetryPolicy, error: APIError, attempt: int, chance: float) -> float | None:
    pause = policy.pause(error, attempt, chance)
    return None if pause is None else pause.seconds


@pytest.mark.parametrize(
    ("error", "attempt", "chance", "delay"),
    [
        (RESET, 1, 0.5, 0.25),
        (RESET, 2, 0.5, 0.5),
        (RESET, 3, 0.5, 1.0),
        (RESET, 3, 0.0, 0.0),
        (RESET, 4, 0.5, None),
        (ServerOverloadedError("503"), 1, 0.5, 0.5),
        (ServerOverloadedError("503"), 3, 0.5, 2.0),
        (StreamInterruptedError("cut"), 1, 0.5, 0.25),
        (FULL, 100, 0.5, 0.0),
        (STALE, 4, 0.5, 0.0),
        (APIResponseValidationError("empty"), 2, 0.5, 0.5),
        (APIResponseValidationError("empty"), 3, 0.5, None),
        (BadRequestError("400"), 1, 0.5, None),
        (APITimeoutError("late", retryable=False), 1, 0.5, None),
        (RateLimitError("429", retry_after=7), 1, 0.0, 7.0),
        (RateLimitError("429", retry_after=7), 1, 0.5, 7.35),
        (RateLimitError("429", retry_after=0), 1, 0.5, 0.0),
        (RateLimitError("429", retry_after=120), 1, 0.0, 120.0),
        (RateLimitError("429", retry_after=121), 1, 0.0, None),
    ],
)
def test_the_delay_of_the_default_policy(error: APIError, attempt: int, chance: float, delay: float | None):
    assert seconds_before(RetryPolicy(), error, attempt, chance) == pytest.approx(delay)


@given(
    st.integers(1, 10**9),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 100),
    st.floats(0, 1000),
)
def test_no_delay_is_below_zero_or_above_the_longest(attempt: int, chance: float, base: float, more: float):
    policy = RetryPolicy(max_attempts=10**9 + 1, base_delay=base, max_delay=base + more)
    delay = seconds_before(policy, RESET, attempt, chance)
    assert delay is not None
    assert 0 <= delay <= base + more


@given(st.floats(0, 120), st.floats(0, 1, exclude_max=True))
def test_a_servers_waiting_time_is_never_shortened(seconds: float, chance: float):
    policy = RetryPolicy(base_delay=0, max_delay=0)
    delay = seconds_before(policy, RateLimitError("429", retry_after=seconds), 1, chance)
    assert delay is not None
    assert seconds <= delay <= seconds * 1.1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"base_delay": -1}, "base_delay"),
        ({"base_delay": 2, "max_delay": 1}, "max_delay"),
        ({"base_delay": math.nan}, "base_delay"),
        ({"max_delay": math.nan}, "max_delay"),
    ],
)
def test_a_wrong_policy_names_its_field(wrong: dict, field: str):
    with pytest.raises(ConfigurationError, match=rf"retry\.{field}"):
        RetryPolicy(**wrong)


def test_a_refusal_for_too_many_requests_goes_back_to_the_queue_without_being_counted():
    pause = RetryPolicy().pause(FULL, 7, 0.5, returns=6)
    assert pause == Pause(0.0, free=True)
    assert RetryPolicy().pause(RESET, 7, 0.5, returns=6) == Pause(0.25)


def test_a_call_goes_back_to_the_queue_two_hundred_times_and_no_more():
    assert RetryPolicy().pause(FULL, 200, 0.5, returns=199) is not None
    assert RetryPolicy().pause(FULL, 201, 0.5, returns=200) is None


def test_where_the_queue_does_not_hold_back_the_call_does():
    assert RetryPolicy().pause(FULL, 1, 0.5, queue=False) == Pause(0.25)
    assert RetryPolicy().pause(FULL, 4, 0.5, queue=False) is None


@pytest.mark.parametrize(("returns", "chance", "seconds"), [(0, 0.0, 1), (0, 0.9, 1.8), (4, 0.5, 16), (9, 1.0, 60)])
def test_a_refusal_about_a_minute_pauses_everybody_up_to_a_minute(returns: int, chance: float, seconds: float):
    pause = RetryPolicy().pause(PER_MINUTE, returns + 1, chance, returns=returns)
    assert pause == Pause(seconds, free=True, everybody=True)


def test_a_connection_closed_while_idle_is_replaced_at_once_and_only_the_first_time_for_nothing():
    assert RetryPolicy().pause(STALE, 1, 0.5) == Pause(0.0, free=True)
    assert RetryPolicy().pause(STALE, 2, 0.5, returns=1) == Pause(0.25)


def test_a_waiting_time_is_for_everybody_and_bulk_has_more_patience():
    long = ServerOverloadedError("503", retry_after=600)
    assert RetryPolicy().pause(long, 1, 0.0) is None
    assert RetryPolicy().pause(long, 1, 0.0, bulk=True) == Pause(600.0, everybody=True)
    assert RetryPolicy().pause(ServerOverloadedError("503", retry_after=3601), 1, 0.0, bulk=True) is None


@pytest.mark.parametrize("error", [FULL, PER_MINUTE, STALE, RESET])
def test_one_attempt_means_one_attempt(error: APIError):
    assert RetryPolicy(max_attempts=1).pause(error, 1, 0.5) is None
