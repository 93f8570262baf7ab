"""Retry credit: whatever succeeds fills it, and while nothing does it is small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.admission.outage.retry_credit import RESERVE, RetryCredit


def test_ten_retries_are_there_while_nothing_succeeds_and_no_more():
    credit = RetryCredit()
    assert [credit.spend() for _ in range(11)] == [True] * 10 + [False]


def test_one_success_fills_it():
    credit = RetryCredit()
    while credit.spend():
        pass
    credit.earn()
    assert credit.balance == RESERVE


def test_an_attempt_that_the_server_has_taken_fills_it_and_the_same_one_only_once():
    credit = RetryCredit()
    for taken, full in ((1, True), (1, False), (2, True), (1, False)):
        while credit.spend():
            pass
        credit.earn(taken)
        assert (credit.balance == RESERVE) is full, taken


@given(st.lists(st.booleans(), max_size=300))
def test_there_are_never_more_than_ten_retries_without_a_success_between_them(steps: list[bool]):
    credit, since = RetryCredit(), 0
    for succeeds in steps:
        if succeeds:
            credit.earn()
            since = 0
        else:
            since += credit.spend()
        assert since <= RESERVE
