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
    assert pause == Pause(0.0, free=True, paid=False)
    assert RetryPolicy().pause(RESET, 7, 0.5, returns=6) == Pause(0.25)


def test_a_call_goes_back_to_the_queue_two_hundred_times_while_others_are_answered_and_no_more():
    assert RetryPolicy().pause(FULL, 200, 0.5, returns=199) is not None
    assert RetryPolicy().pause(FULL, 201, 0.5, returns=200) is None
    assert RetryPolicy().pause(FULL, 201, 0.5, returns=200, bulk=True) is None
    assert RetryPolicy().pause(FULL, 201, 0.5, returns=200, bulk=True, silence=600) is not None


def test_where_the_queue_does_not_hold_back_the_call_does():
    assert RetryPolicy().pause(FULL, 1, 0.5, queue=False) == Pause(0.25)
    assert RetryPolicy().pause(FULL, 4, 0.5, queue=False) is None


@pytest.mark.parametrize(("earlier", "chance", "seconds"), [(0, 0.0, 1), (0, 0.9, 1.8), (4, 0.5, 16), (9, 1.0, 60)])
@pytest.mark.parametrize("bulk", [False, True])
def test_a_refusal_about_a_minute_pauses_everybody_up_to_a_minute(
    earlier: int,
    chance: float,
    seconds: float,
    bulk: bool,
):
    policy, returns = RetryPolicy(max_attempts=20), earlier if bulk else 0
    pause = policy.pause(PER_MINUTE, earlier + 1, chance, returns=returns, bulk=bulk)
    assert pause == Pause(seconds, free=bulk, paid=False, everybody=True)


REFUSALS_WITHOUT_A_LIMIT = [
    RateLimitError("429"),
    RateLimitError("429", retry_after=1),
    RateLimitError("429", retry_after=60),
    PER_MINUTE,
]


@pytest.mark.parametrize("error", REFUSALS_WITHOUT_A_LIMIT)
@given(most=st.integers(1, 10), chance=st.floats(0, 1, exclude_max=True))
def test_a_refusal_that_names_no_limit_of_concurrency_is_one_of_the_attempts(
    error: RateLimitError,
    most: int,
    chance: float,
):
    policy = RetryPolicy(max_attempts=most)
    pauses = [policy.pause(error, attempt, chance) for attempt in range(1, most + 1)]
    assert pauses[-1] is None
    assert all(pause is not None and not pause.free and not pause.paid for pause in pauses[:-1])


@pytest.mark.parametrize("error", REFUSALS_WITHOUT_A_LIMIT)
def test_for_bulk_no_refusal_is_an_attempt(error: RateLimitError):
    pause = RetryPolicy(max_attempts=2).pause(error, 100, 0.5, returns=99, bulk=True)
    assert pause is not None
    assert pause.free


@pytest.mark.parametrize("error", [FULL, *REFUSALS_WITHOUT_A_LIMIT])
def test_nobody_waits_for_ever_for_a_model_that_refuses_everybody(error: RateLimitError):
    policy = RetryPolicy()
    assert policy.pause(error, 1, 0.5, silence=119) is not None
    assert policy.pause(error, 1, 0.5, silence=120) is None
    assert policy.pause(error, 1, 0.5, silence=3599, bulk=True) is not None
    assert policy.pause(error, 1, 0.5, silence=3600, bulk=True) is None


def test_a_failure_is_bounded_by_its_attempts_however_long_nobody_was_answered():
    assert RetryPolicy().pause(RESET, 1, 0.5, silence=10_000) == Pause(0.25)


def test_a_connection_closed_while_idle_is_replaced_at_once_and_only_the_first_time_for_nothing():
    assert RetryPolicy().pause(STALE, 1, 0.5) == Pause(0.0, free=True, paid=False)
    assert RetryPolicy().pause(STALE, 2, 0.5, returns=1) == Pause(0.25)


def test_a_waiting_time_is_for_everybody_and_bulk_has_more_patience():
    long = ServerOverloadedError("503", retry_after=600)
    assert RetryPolicy().pause(long, 1, 0.0) is None
    assert RetryPolicy().pause(long, 1, 0.0, bulk=True) == Pause(600.0, everybody=True)
    assert RetryPolicy().pause(ServerOverloadedError("503", retry_after=3601), 1, 0.0, bulk=True) is None


@pytest.mark.parametrize("error", [FULL, PER_MINUTE, STALE, RESET])
def test_one_attempt_means_one_attempt(error: APIError):
    assert RetryPolicy(max_attempts=1).pause(error, 1, 0.5) is None
