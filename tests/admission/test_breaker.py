"""The circuit breaker on time that is handed in: any order of attempts, outcomes and waits."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.thoroughness import often

from deepseek_async.admission.outage.breaker import LONGEST_RESET, PROBE_PATIENCE, Breaker, BreakerPolicy, State


def breaker(**policy) -> Breaker:
    """One whose reset timeout is not jittered."""
    return Breaker(BreakerPolicy(**policy), lambda: 0.5)


def fail_in_turn(subject: Breaker, times: int, *, at: float = 0.0) -> float:
    """One caller, one failure after another; returns the time after them."""
    for number in range(times):
        attempt = object()
        subject.began(attempt, at + number)
        subject.failed(attempt, at + number, at + number + 0.5)
    return at + times


def test_five_failures_in_a_row_open_it_and_four_do_not():
    subject = breaker()
    now = fail_in_turn(subject, 4)
    assert subject.closed
    fail_in_turn(subject, 1, at=now)
    assert subject.state is State.OPEN
    assert not subject.admits(now + 1)


def test_a_success_in_between_begins_the_count_again():
    subject = breaker()
    now = fail_in_turn(subject, 4)
    subject.succeeded(now, now + 0.5)
    now = fail_in_turn(subject, 4, at=now + 1)
    assert subject.closed


def test_five_hundred_connections_dropped_at_once_are_one_incident():
    subject = breaker()
    for number in range(500):
        subject.failed(object(), number / 1000, 10.0 + number / 1000)
    assert subject.closed


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_it_stays_closed_whatever_the_share_that_fails_while_some_succeed(share: float):
    subject, chance = breaker(), random.Random(1)
    for number in range(5000):
        at = number / 20
        if chance.random() < share:
            subject.failed(object(), at, at + 0.01)
        else:
            subject.succeeded(at, at + 0.2)
    assert subject.closed


def test_it_stays_closed_while_the_other_side_takes_attempts_whose_answers_are_minutes_away():
    subject = breaker()
    for number in range(60):
        subject.failed(object(), number, number + 0.5, taken=number // 3)
    assert subject.closed


def test_it_opens_when_nothing_is_taken_any_more_though_much_was():
    subject = breaker()
    opened_after = next(number for number in range(60) if subject.failed(object(), number, number + 0.5, taken=100))
    assert opened_after == 4


def test_an_outage_of_three_seconds_does_not_open_it_however_many_ask():
    subject = breaker()
    for number in range(3000):
        subject.failed(object(), number / 1000, number / 1000 + 0.001, alone=number > 0)
    assert subject.closed


def test_five_failures_of_one_caller_open_it_however_quick_they_are():
    subject = breaker()
    assert [subject.failed(object(), number / 1000, number / 1000) for number in range(5)] == [False] * 4 + [True]


@given(st.floats(0, 1, exclude_max=True))
def test_the_next_try_comes_after_the_reset_timeout_give_or_take_a_tenth(chance: float):
    subject = Breaker(BreakerPolicy(failure_threshold=1, reset_timeout=60), lambda: chance)
    subject.failed(object(), 0.0, 100.0)
    assert 54 <= subject.retry_after(100.0) <= 66
    assert not subject.admits(153.9)
    assert subject.admits(166.0)


def opened(at: float = 0.0, **policy) -> Breaker:
    subject = breaker(**{"failure_threshold": 1, **policy})
    subject.failed(object(), at, at)
    return subject


def test_bulk_asks_whenever_the_outage_has_lasted_a_quarter_longer():
    """An outage of twelve seconds costs a job three seconds more, not a minute; nobody who waits is sent into it."""
    subject = breaker()
    now = opened = fail_in_turn(subject, 5)
    asked = []
    while now < 300:
        if subject.admits(now, bulk=True):
            assert now - opened > 59 or not subject.admits(now)
            asked.append(now)
            probe = object()
            subject.began(probe, now)
            assert not subject.admits(now, bulk=True)
            subject.failed(probe, now, now)
        now += 0.01
    assert [later / earlier for earlier, later in pairwise(asked[2:12])] == pytest.approx([1.25] * 9, abs=0.03)
    assert all(later - earlier < 61 for earlier, later in pairwise(asked))
    assert len([at for at in asked if at < 60]) <= 12


def test_a_bulk_row_that_is_answered_closes_it_for_everybody():
    subject = breaker()
    now = fail_in_turn(subject, 5) + 4.0
    assert subject.admits(now, bulk=True)
    assert not subject.admits(now)
    subject.began("row", now)
    assert subject.succeeded(now, now + 1)
    assert subject.admits(now + 1)


def test_bulk_rows_that_fail_do_not_keep_others_waiting_longer():
    subject = breaker(reset_timeout=60)
    now = fail_in_turn(subject, 5) + 4.0
    for _ in range(2):
        subject.began("row", now)
        subject.failed("row", now, now + 0.1)
        now = subject.next_change(now, bulk=True)
    assert subject.next_change(now) == pytest.approx(4.5 + 60)


def test_one_probe_at_a_time():
    subject = opened()
    assert subject.admits(60.0)
    probe = object()
    subject.began(probe, 60.0)
    assert subject.state is State.HALF_OPEN
    assert not subject.admits(61.0)
    subject.ended(object())
    assert not subject.admits(61.0), "somebody else's ending frees nothing"
    subject.ended(probe)
    assert subject.admits(61.0)


def test_a_probe_that_succeeds_closes_it():
    subject = opened()
    subject.began(object(), 60.0)
    assert subject.succeeded(60.0, 61.0)
    assert subject.closed


def test_each_probe_that_fails_doubles_the_wait_up_to_five_minutes():
    subject, now, waits = opened(), 0.0, []
    for _ in range(5):
        waits.append(subject.retry_after(now))
        now += waits[-1]
        probe = object()
        subject.began(probe, now)
        subject.failed(probe, now, now)
    assert waits == [60, 120, 240, LONGEST_RESET, LONGEST_RESET]


def test_a_reset_timeout_above_five_minutes_is_kept():
    subject = opened(reset_timeout=900)
    probe = object()
    subject.began(probe, 900.0)
    subject.failed(probe, 900.0, 900.0)
    assert subject.retry_after(900.0) == 900


def test_a_probe_without_outcome_frees_its_place_after_two_minutes_and_may_still_succeed():
    subject = opened()
    subject.began(object(), 60.0)
    assert not subject.admits(60.0 + PROBE_PATIENCE - 1)
    assert subject.admits(60.0 + PROBE_PATIENCE)
    subject.began(object(), 60.0 + PROBE_PATIENCE)
    assert subject.succeeded(60.0, 200.0)


def test_late_failures_neither_open_it_again_nor_move_the_next_try():
    subject = opened(at=10.0)
    before = subject.next_change(20.0)
    assert not subject.failed(object(), 5.0, 20.0)
    assert (subject.next_change(20.0), subject.opened) == (before, 1)


def test_three_late_successes_bring_the_probe_forward_and_close_nothing():
    subject = opened(at=10.0)
    for number in range(3):
        assert not subject.admits(20.0)
        assert not subject.succeeded(5.0, 20.0 + number)
    assert subject.state is State.OPEN
    assert subject.admits(22.0)


def test_late_successes_bring_one_probe_forward_and_its_failure_does_not_lengthen_the_wait():
    subject = opened(at=10.0)
    for _ in range(3):
        subject.succeeded(5.0, 20.0)
    probe = object()
    subject.began(probe, 20.0)
    subject.failed(probe, 20.0, 21.0)
    for _ in range(60):
        subject.succeeded(5.0, 22.0)
    assert subject.retry_after(21.0) == 60


def test_an_operator_may_close_it():
    subject = opened()
    subject.reset()
    assert subject.admits(0.1)


class BreakerMachine(RuleBasedStateMachine):
    """Attempts begin when they may, and end in any way at any time, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.subject = Breaker(BreakerPolicy(failure_threshold=3, reset_timeout=10), lambda: 0.25)
        self.running: dict[int, tuple[object, float]] = {}
        self.begun = 0
        self.probes: list[tuple[object, float]] = []

    @rule(seconds=st.floats(0.01, 200))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.subject.admits(self.now))
    @rule()
    def begin(self) -> None:
        was_closed = self.subject.closed
        attempt = object()
        self.subject.began(attempt, self.now)
        self.running[self.begun] = attempt, self.now
        self.begun += 1
        if not was_closed:
            assert not [began for probe, began in self.probes if self.now - began < PROBE_PATIENCE]
            self.probes = [(attempt, self.now)]

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "nothing"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        attempt, began = self.running.pop(data.draw(st.sampled_from(sorted(self.running))))
        opened, was_closed = self.subject.opened, self.subject.closed
        match outcome:
            case "success":
                assert self.subject.succeeded(began, self.now) == (not was_closed and self.subject.closed)
            case "failure":
                assert self.subject.failed(attempt, began, self.now) == (self.subject.opened > opened)
            case _:
                self.subject.ended(attempt)
                assert self.subject.opened == opened
                assert self.subject.closed == was_closed
        self.probes = [each for each in self.probes if each[0] is not attempt]
        if self.subject.closed or self.subject.state is State.OPEN:
            self.probes = []

    @invariant()
    def it_never_sticks(self) -> None:
        """Whatever happened and whoever never ends: in bounded time somebody may try."""
        assert self.subject.next_change(self.now) <= self.now + LONGEST_RESET * 1.1 + PROBE_PATIENCE
        assert self.subject.admits(self.now + LONGEST_RESET * 1.1 + PROBE_PATIENCE)

    @invariant()
    def it_says_when(self) -> None:
        if not self.subject.admits(self.now):
            assert self.subject.next_change(self.now) > self.now
            assert self.subject.admits(self.subject.next_change(self.now))
            assert self.subject.retry_after(self.now) > 0


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=often(150), stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_one_caller_who_is_answered_now_and_then_is_not_cut_off(share: float):
    """Five in a row fail by chance in one of thirteen runs at 60 %; each cost a minute."""
    subject, chance, failures = breaker(), random.Random(1), 0
    for number in range(20):
        # It is known what fails.
        subject.failed(object(), number, number + 0.1)
        subject.succeeded(number + 0.5, number + 0.6)
    for number in range(100, 3000):
        if chance.random() < share:
            failures += subject.failed(object(), number, number + 0.1)
        else:
            subject.succeeded(number, number + 0.2)
        if not subject.closed:
            subject.reset()
    assert failures <= 3


def test_where_a_share_fails_it_still_opens_when_all_do():
    subject = breaker()
    for number in range(100):
        subject.failed(object(), number, number + 0.1)
        subject.succeeded(number + 0.5, number + 0.6)
    opened_after = next(n for n in range(60) if subject.failed(object(), 200 + n, 200 + n + 0.1))
    assert 5 <= opened_after <= 14
