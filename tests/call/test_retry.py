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
    ConfigurationError,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
    StreamInterruptedError,
)

RESET = APIConnectionError("reset")


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
        (APIResponseValidationError("empty"), 2, 0.5, 0.5),
        (APIResponseValidationError("empty"), 3, 0.5, None),
        (BadRequestError("400"), 1, 0.5, None),
        (APITimeoutError("late", retryable=False), 1, 0.5, None),
        (RateLimitError("429", retry_after=7), 1, 0.0, 7.0),
        (RateLimitError("429", retry_after=7), 1, 0.5, 7.35),
        (RateLimitError("429", retry_after=0), 1, 0.5, 0.0),
        (RateLimitError("429", retry_after=120), 1, 0.0, 120.0),
        (RateLimitError("429", retry_after=121), 1, 0.0, None),
        (RateLimitError("429", retry_after=7), 4, 0.0, None),
    ],
)
def test_the_delay_of_the_default_policy(error: APIError, attempt: int, chance: float, delay: float | None):
    assert RetryPolicy().delay(error, attempt, chance) == pytest.approx(delay)


@given(
    st.integers(1, 10**9),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 100),
    st.floats(0, 1000),
)
def test_no_delay_is_below_zero_or_above_the_longest(attempt: int, chance: float, base: float, more: float):
    policy = RetryPolicy(max_attempts=10**9 + 1, base_delay=base, max_delay=base + more)
    delay = policy.delay(RESET, attempt, chance)
    assert delay is not None
    assert 0 <= delay <= base + more


@given(st.floats(0, 120), st.floats(0, 1, exclude_max=True))
def test_a_servers_waiting_time_is_never_shortened(seconds: float, chance: float):
    delay = RetryPolicy(base_delay=0, max_delay=0).delay(RateLimitError("429", retry_after=seconds), 1, chance)
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
