"""Retry credit and the count it rests on, on time that is handed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.admission.outage.credit import PER_SUCCESS, RESERVE, RetryCredit
from deepseek_async.admission.outage.recent import LastMinute


def test_ten_retries_are_there_before_any_success_and_no_more():
    credit = RetryCredit()
    assert [credit.spend(0.0) for _ in range(11)] == [True] * 10 + [False]


def test_five_successes_pay_for_one_retry():
    credit = RetryCredit()
    while credit.spend(0.0):
        pass
    for number in range(5):
        assert not credit.spend(1.0), number
        credit.earn(1.0)
    assert credit.spend(1.0)
    assert not credit.spend(1.0)


def test_the_most_is_the_reserve_and_a_fifth_of_the_last_minutes_successes():
    credit = RetryCredit()
    for _ in range(1000):
        credit.earn(0.0)
    assert credit.balance(0.0) == 210
    assert credit.balance(100.0) == RESERVE


def test_the_end_of_an_outage_fills_the_reserve():
    credit = RetryCredit()
    while credit.spend(0.0):
        pass
    credit.refill()
    assert credit.balance(0.0) == RESERVE


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=300))
def test_retries_never_exceed_the_reserve_and_a_fifth_of_the_successes(steps: list[tuple[bool, float]]):
    credit, now, successes, retries = RetryCredit(), 0.0, 0, 0
    for succeeds, pause in steps:
        now += pause
        if succeeds:
            credit.earn(now)
            successes += 1
        else:
            retries += credit.spend(now)
        assert retries <= RESERVE + PER_SUCCESS * successes + 1e-6


@pytest.mark.parametrize(("at", "counted"), [(0.0, 3), (54.9, 3), (60.0, 0), (65.0, 0), (1000.0, 0)])
def test_a_count_of_the_last_minute_forgets_in_steps_of_five_seconds(at: float, counted: int):
    count = LastMinute()
    for _ in range(3):
        count.add(0.0)
    assert count.total(at) == counted


@given(st.lists(st.floats(0, 500), max_size=100).map(sorted))
def test_a_count_is_that_of_a_minute_give_or_take_a_step(times: list[float]):
    count = LastMinute()
    for at in times:
        count.add(at)
    now = times[-1] if times else 0.0
    surely = sum(now - at < 55 for at in times)
    perhaps = sum(now - at <= 60 for at in times)
    assert surely <= count.total(now) <= perhaps


def test_what_began_long_ago_is_not_counted_as_recent():
    count = LastMinute()
    count.add(120.0)
    count.add(60.0)
    assert count.total(120.0) == 1
    count.clear()
    assert count.total(120.0) == 0
