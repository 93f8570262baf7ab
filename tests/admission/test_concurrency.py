"""The adaptive window under any order of news, and what each kind of news does to it. Virtual time throughout."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.thoroughness import often

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt, FixedLimit, Mode

NUMBERS = st.none() | st.integers(-3, 60) | st.integers(-(10**12), 10**12)


class News(RuleBasedStateMachine):
    """Any caller that asks before it sends, and any server."""

    CAP = 40

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.chance = 0.0
        self.window = AdaptiveLimit(cap=self.CAP, chance=lambda: self.chance, now=0.0, start=8)
        self.flying: list[Attempt] = []
        self.over: list[Attempt] = []

    def one(self, number: int) -> Attempt:
        return self.flying[number % len(self.flying)]

    @rule(seconds=st.floats(0, 0.5) | st.floats(0, 100), chance=st.floats(0, 1, exclude_max=True))
    def time_passes(self, seconds: float, chance: float) -> None:
        self.now += seconds
        self.chance = chance

    @rule(most=st.integers(1, 50))
    def as_many_as_may_be_are_sent(self, most: int) -> None:
        while most and self.window.may_send(self.now):
            assert len(self.flying) < self.window.size
            self.flying.append(self.window.sent(self.now))
            most -= 1

    @precondition(lambda self: self.flying)
    @rule(number=st.integers(0, 99))
    def one_is_taken(self, number: int) -> None:
        self.window.admitted(self.one(number), self.now)

    @precondition(lambda self: self.flying)
    @rule(number=st.integers(0, 99))
    def one_begins_to_answer(self, number: int) -> None:
        self.window.first_content(self.one(number), self.now)

    @precondition(lambda self: self.flying)
    @rule(number=st.integers(0, 99), limit=NUMBERS, current=NUMBERS, balance_bound=st.booleans())
    def one_is_refused(self, number: int, limit: int | None, current: int | None, balance_bound: bool) -> None:
        attempt = self.one(number)
        self.window.refused(attempt, self.now, limit=limit, current=current, balance_bound=balance_bound)
        self.flying.remove(attempt)
        self.over.append(attempt)

    @precondition(lambda self: self.flying)
    @rule(number=st.integers(0, 99), seconds=st.floats(0, 5))
    def one_comes_too_fast(self, number: int, seconds: float) -> None:
        attempt = self.one(number)
        self.window.throttled(attempt, self.now, self.now + seconds)
        self.flying.remove(attempt)
        self.over.append(attempt)

    @precondition(lambda self: self.flying)
    @rule(number=st.integers(0, 99), overload=st.booleans())
    def one_ends(self, number: int, overload: bool) -> None:
        attempt = self.one(number)
        self.window.ended(attempt, self.now, overload=overload)
        self.flying.remove(attempt)
        self.over.append(attempt)

    @precondition(lambda self: self.over)
    @rule(number=st.integers(0, 99))
    def one_that_is_over_is_told_of_again(self, number: int) -> None:
        attempt = self.over[number % len(self.over)]
        size = self.window.size
        self.window.ended(attempt, self.now, overload=True)
        self.window.refused(attempt, self.now, limit=1, current=2)
        self.window.throttled(attempt, self.now, self.now + 9)
        self.window.admitted(attempt, self.now)
        assert self.window.size == size

    @invariant()
    def what_is_in_flight_is_what_was_sent_and_is_not_over(self) -> None:
        assert self.window.in_flight == len(self.flying)

    @invariant()
    def the_size_stays_between_one_and_the_cap_or_follows_a_drain_to_nothing(self) -> None:
        statistics = self.window.statistics(self.now)
        assert (0 if statistics.mode is Mode.DRAIN else 1) <= self.window.size <= self.CAP
        assert statistics.admissions <= statistics.attempts
        assert -20 <= statistics.tokens <= 5

    @invariant()
    def asking_again_when_told_to_never_ends_in_silence(self) -> None:
        due = self.window.next_change(self.now)
        assert due is None or (math.isfinite(due) and due <= self.now + 61)
        assert due is not None or self.flying

    def teardown(self) -> None:
        """With nothing in flight, an attempt may be sent within a few seconds, whatever has happened before."""
        for attempt in self.flying:
            self.window.ended(attempt, self.now)
        asked_at = self.now
        while not self.window.may_send(self.now):
            due = self.window.next_change(self.now)
            assert due is not None
            self.now = max(self.now, due)
            assert self.now - asked_at <= 5


TestNews = News.TestCase
TestNews.settings = settings(max_examples=often(60), stateful_step_count=60, deadline=None)


def test_after_answers_that_took_minutes_an_attempt_is_sent_within_seconds():
    """Those that were taken then make a rate of one in many seconds, and the next was to wait for as long."""
    state = News()
    state.as_many_as_may_be_are_sent(most=50)
    state.one_ends(6, overload=False)
    state.one_is_taken(13)
    state.one_ends(11, overload=True)
    state.as_many_as_may_be_are_sent(most=50)
    state.one_ends(4, overload=True)
    state.one_ends(94, overload=False)
    state.one_is_refused(95, limit=None, current=None, balance_bound=False)
    state.as_many_as_may_be_are_sent(most=50)
    state.one_is_taken(56)
    state.one_ends(44, overload=True)
    for most, seconds in ((10, 0.46), (9, 82.8), (17, 0.17), (1, 0.0)):
        state.as_many_as_may_be_are_sent(most=most)
        state.time_passes(seconds, chance=0.0)
    state.teardown()


def window(start: int = 100, cap: int = 1000, chance: Callable[[], float] = lambda: 0.0) -> AdaptiveLimit:
    return AdaptiveLimit(cap=cap, chance=chance, now=0.0, start=start)


def fill(full: AdaptiveLimit, now: float = 0.0, *, taken: bool = True) -> list[Attempt]:
    """Send as many as may be; they are taken at once unless told otherwise."""
    flying = []
    while full.may_send(now):
        attempt = full.sent(now)
        if taken:
            full.admitted(attempt, now)
        flying.append(attempt)
    return flying


def holding(limit: int = 100) -> tuple[AdaptiveLimit, list[Attempt]]:
    """A full window that has just been told this limit."""
    full = window(limit + 1)
    *flying, refused = fill(full)
    full.refused(refused, 0.3, limit=limit, current=limit + 1)
    assert (full.size, full.statistics(0.3).mode) == (limit, Mode.HOLD)
    return full, flying


class TestNumbers:
    def test_a_named_limit_is_believed_at_once_however_far_away(self) -> None:
        full = window(300)
        fill(full)[0].answered = False
        refused = Attempt(0.0, 300, 300)
        full.refused(refused, 0.3, limit=25, current=300)
        assert full.size == 25

    def test_what_others_of_the_account_use_is_left_to_them(self) -> None:
        full = window(50, chance=lambda: 0.9)
        *_, refused = fill(full)
        full.refused(refused, 0.3, limit=100, current=101)
        assert full.size == 48  # 49 were not ours to begin with, and we step back for those who have the rest

    @pytest.mark.parametrize(
        ("limit", "current"),
        [(None, 26), (25, None), (25, 25), (30, 26), (-1, 26), (25, 10**6), (25, 40)],
        ids=["half", "other half", "within", "far within", "negative", "huge", "a node's own count"],
    )
    def test_numbers_that_do_not_explain_the_refusal_are_ignored(self, limit: int | None, current: int | None) -> None:
        full, flying = holding(100)
        for attempt in flying[:20]:
            full.ended(attempt, 5.0)
            full.admitted(full.sent(5.0), 5.3)
        full.ended(flying[20], 6.0)
        full.refused(full.sent(6.0), 6.3, limit=limit, current=current)
        assert full.size == 100

    def test_a_limit_of_none_at_all_drains(self) -> None:
        full, flying = holding(100)
        full.ended(flying.pop(), 1.0)
        full.refused(full.sent(1.0), 1.3, limit=0, current=100)
        assert full.statistics(1.3).mode is Mode.DRAIN
        assert not full.may_send(1.3)

    def test_a_limit_that_refusals_contradict_is_doubted_for_ten_minutes(self) -> None:
        full, taken = holding(500)
        flying = deque(taken)
        now = 1.0
        for _ in range(600):  # 12 s each, so that a dozen of 500 are on the way and the window fills their slots
            now += 0.024
            full.ended(flying.popleft(), now)
            flying.extend(fill(full, now))
        refusals = 0
        while not full.statistics(now).numbers_doubted:
            now += 0.024
            full.ended(flying.popleft(), now)
            attempt = full.sent(now)
            if full.statistics(now).attempts % 8:
                full.admitted(attempt, now)
                flying.append(attempt)
            else:
                full.refused(attempt, now + 0.3, limit=attempt.beside, current=attempt.beside + 1)
                refusals += 1
            flying.extend(fill(full, now))
        assert 50 <= refusals <= 100
        assert full.statistics(now + 599).numbers_doubted
        assert not full.statistics(now + 601).numbers_doubted


class TestSilence:
    def test_a_single_refusal_in_the_middle_of_admissions_is_stray(self) -> None:
        full, flying = holding(100)
        for attempt in flying[:20]:
            full.ended(attempt, 5.0)
            full.admitted(full.sent(5.0), 5.3)
        full.ended(flying[20], 6.0)
        full.refused(full.sent(6.0), 6.3)
        assert full.size == 100

    def test_two_close_refusals_prove_each_other(self) -> None:
        full, flying = holding(100)
        for attempt in flying[:20]:
            full.ended(attempt, 5.0)
            full.admitted(full.sent(5.0), 5.3)
        full.ended(flying[20], 6.0)
        full.ended(flying[21], 6.0)
        first, second = full.sent(6.0), full.sent(6.0)
        full.refused(first, 6.3)
        full.refused(second, 6.3)
        assert full.size < 100

    def test_refusals_without_an_admission_between_them_drain(self) -> None:
        full = window(100)
        flying = fill(full, taken=False)
        for attempt in flying[:4]:
            full.refused(attempt, 0.3)
        assert full.statistics(0.3).mode is Mode.DRAIN

    def test_the_refusals_of_one_burst_are_one_epoch(self) -> None:
        full = window(100)
        flying = fill(full)
        late = [full.sent(0.0) for _ in range(3)]
        for attempt in late:
            full.refused(attempt, 0.3, limit=100, current=101)
        assert full.statistics(0.3).epochs == 1
        assert full.in_flight == len(flying)


class TestDrain:
    def drained(self) -> tuple[AdaptiveLimit, list[Attempt]]:
        full = window(100)
        flying = fill(full, taken=False)
        for attempt in flying[:50]:
            full.admitted(attempt, 0.1)
        for attempt in flying[50:]:
            full.refused(attempt, 0.3)
        return full, flying[:50]

    def test_one_attempt_at_a_time_asks_with_gaps_up_to_two_seconds(self) -> None:
        full, _ = self.drained()
        now = 0.3
        asked: list[float] = []
        while now < 20:
            due = full.next_change(now)
            assert due is not None
            now = max(now, due)
            if full.may_send(now):
                attempt = full.sent(now)
                assert not full.may_send(now)
                asked.append(now)
                full.refused(attempt, now + 0.3)
                now += 0.3
        gaps = [later - earlier - 0.3 for earlier, later in pairwise(asked)]
        assert gaps == pytest.approx(sorted(gaps))
        assert gaps[-1] == pytest.approx(2.0)
        assert len(asked) <= 12

    def test_the_first_admission_ends_it(self) -> None:
        full, flying = self.drained()
        for attempt in flying[:10]:
            full.ended(attempt, 0.4)
        assert full.may_send(1.0)
        full.admitted(full.sent(1.0), 1.3)
        assert full.statistics(1.3).mode is Mode.PROBE
        assert full.size >= 41

    def test_an_attempt_that_asks_and_is_cancelled_lets_another_ask(self) -> None:
        full, _ = self.drained()
        assert full.may_send(1.0)
        full.ended(full.sent(1.0), 1.1)
        assert not full.may_send(1.1)
        assert full.may_send(3.2)

    def test_silence_for_the_grace_time_is_an_admission(self) -> None:
        full, _ = self.drained()
        assert full.may_send(1.0)
        full.sent(1.0)
        due = full.next_change(1.0)
        assert due == pytest.approx(2.0)
        full.may_send(2.1)
        assert full.statistics(2.1).mode is not Mode.DRAIN


class TestGrowth:
    def test_a_start_goes_a_few_further_each_time_that_all_are_taken_however_short_the_way(self) -> None:
        full = AdaptiveLimit(cap=2500, chance=lambda: 0.0, now=0.0)
        taken, now = 0, 0.0
        while full.in_flight < 400:
            now += 0.01
            flying = fill(full, now, taken=False)
            assert full.in_flight - taken <= max(20, 0.1 * full.statistics(now).attempts)
            for attempt in flying:
                full.admitted(attempt, now + 0.005)
            taken = full.in_flight
        assert now <= 0.3

    def test_news_that_come_at_one_time_are_one_step(self) -> None:
        full = AdaptiveLimit(cap=2500, chance=lambda: 0.0, now=0.0)
        while full.may_send(1.0):
            full.admitted(full.sent(1.0), 1.0)
        assert full.in_flight <= 20

    def test_nothing_is_allowed_for_a_way_that_nobody_has_measured(self) -> None:
        full = window(101)
        *flying, refused = fill(full)
        for attempt in flying[:50]:
            full.ended(attempt, 0.2)
        full.refused(refused, 6.0, limit=100, current=101)
        assert full.size == 100

    def test_a_start_whose_last_ones_are_refused_in_silence_stays_at_what_was_taken(self) -> None:
        full = AdaptiveLimit(cap=2500, chance=lambda: 0.0, now=0.0)
        for attempt in fill(full, taken=False):
            full.admitted(attempt, 0.1)
        *taken, _ = late = fill(full, 0.1, taken=False)
        for attempt in taken[:5]:
            full.admitted(attempt, 0.2)
        for attempt in late[5:]:
            full.refused(attempt, 0.2)
        assert full.statistics(0.2).mode is Mode.HOLD
        assert full.in_flight - 1 <= full.size <= full.in_flight

    def test_the_last_refusals_of_a_wave_do_not_drain(self) -> None:
        full, flying = holding(100)
        for attempt in flying[:50]:
            full.ended(attempt, 5.0)
        wave = fill(full, 5.0, taken=False)
        for attempt in wave[:44]:
            full.admitted(attempt, 5.3)
        for attempt in wave[44:]:
            full.refused(attempt, 5.3)
        assert full.statistics(5.3).mode is Mode.HOLD
        assert full.size >= 90

    def test_a_window_that_is_not_used_does_not_grow(self) -> None:
        idle = window(32)
        for tick in range(100):
            attempt = idle.sent(float(tick))
            assert idle.may_send(float(tick))
            idle.admitted(attempt, tick + 0.1)
            idle.ended(attempt, tick + 0.5)
        assert idle.size == 32

    def test_a_cap_given_by_the_user_is_where_it_starts_and_never_passed(self) -> None:
        full = window(60, cap=60)
        flying = fill(full)
        assert len(flying) == 60
        assert not full.may_send(100.0)
        full.refused(flying[-1], 100.0, limit=30, current=61)
        assert full.size == 29  # one attempt of somebody else runs as well

    def test_growth_waits_while_first_tokens_take_three_times_as_long(self) -> None:
        full = window(100)
        for second in range(300):
            full.first_content(Attempt(second - 1.0, 0, 0), float(second))
        assert not full.statistics(300.0).braked
        for second in range(300, 370):
            full.first_content(Attempt(second - 5.0, 0, 0), float(second))
        assert full.statistics(370.0).braked
        assert not full.statistics(500.0).braked


@given(size=st.integers(1, 50), ends=st.lists(st.booleans(), max_size=50))
def test_a_fixed_window_is_a_number_of_slots(size: int, ends: list[bool]) -> None:
    fixed = FixedLimit(size)
    flying = []
    while fixed.may_send(0.0):
        flying.append(fixed.sent(0.0))
    assert len(flying) == size
    assert fixed.next_change(0.0) is None
    for refused, attempt in zip(ends, flying, strict=False):
        if refused:
            fixed.refused(attempt, 1.0, limit=1, current=2)
        fixed.ended(attempt, 1.0)
    assert fixed.in_flight == max(0, size - len(ends))
    assert fixed.statistics(1.0).mode is Mode.FIXED
