"""The ledger of the benchmark of several processes says of a span what has happened in it."""

from __future__ import annotations

import math

import pytest
from processes.ledger import Ledger, percentile


def ledger_of(*states: tuple[float, int], limit: int = 10) -> Ledger:
    """An account that has so many requests from each time on."""
    ledger = Ledger()
    ledger.note(0.0, "limit", "", 0, limit)
    for at, in_flight in states:
        ledger.note(at, "admitted", "m0/1", in_flight, limit)
    return ledger


def test_busy_is_what_ran_within_the_span_only():
    ledger = ledger_of((1.0, 10), (3.0, 5))
    assert ledger.busy(0.0, 1.0) == 0
    assert ledger.busy(1.0, 3.0) == 1
    assert ledger.busy(2.0, 4.0) == pytest.approx(0.75)


def test_requests_above_a_limit_that_fell_count_as_full():
    ledger = ledger_of((1.0, 10))
    ledger.note(2.0, "limit", "", 10, 4)
    assert ledger.busy(1.0, 3.0) == 1


def test_a_slot_is_lost_when_it_is_empty_for_all_of_the_patience():
    ledger = ledger_of((0.5, 10), (2.0, 7), (3.5, 10), (6.0, 8), (9.0, 10))
    assert ledger.lost_slots(1.0, 5.0, 2.0) == 0
    assert ledger.lost_slots(1.0, 10.0, 2.0) == 2


def test_the_account_is_full_again_when_enough_runs():
    ledger = ledger_of((1.0, 10), (2.0, 4), (5.0, 9))
    assert ledger.full_after(1.5, 0.9) == 0
    assert ledger.full_after(2.5, 0.9) == pytest.approx(2.5)
    assert ledger.full_after(2.5, 1.0) == math.inf


def test_refusals_are_a_share_of_the_attempts_of_the_same_time():
    ledger = ledger_of((1.0, 9), (1.1, 10))
    ledger.note(1.2, "refused", "m1/1", 10, 10)
    ledger.note(2.5, "refused", "m1/1", 10, 10)
    ledger.note(2.6, "refused", "m1/2", 10, 10)
    assert ledger.refused(1.0, 2.0) == pytest.approx(1 / 3)
    assert ledger.worst_second(1.0, 4.0) == 2


def test_an_answer_took_from_its_first_attempt_on():
    ledger = Ledger()
    for at in (1.0, 2.0, 3.0):
        ledger.asked(at, "m1/7")
    ledger.answered(6.0, "m1/7")
    assert ledger.took(5.0, 7.0) == {"m1": [5.0]}
    assert ledger.took(0.0, 5.0) == {}
    assert ledger.most_attempts() == 3


def test_who_got_no_answer_has_waited_for_ever():
    assert percentile([], 99) == math.inf
    assert percentile([2.0], 99) == 2.0
