"""A process that knows nothing of its account, against hidden limits: how soon it is there, and how politely.

Virtual time. No second of the start may see more than 20 refusals, or one attempt in ten.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.thoroughness import often

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.simulation import limits  # noqa: E402
from benchmarks.simulation.account import Account, Conditions, Outcome  # noqa: E402
from benchmarks.simulation.contestants import CAP  # noqa: E402
from deepseek_async.admission.concurrency import AdaptiveLimit  # noqa: E402
from deepseek_async.admission.concurrency.load_trial import LoadLevel, LoadTrial  # noqa: E402
from deepseek_async.admission.concurrency_limit import Attempt, Mode  # noqa: E402

ANSWERS = {"0.2 s": (0.2, 0.2), "2 to 6 s": (2.0, 6.0), "lognormal": None}
MEAN = {"0.2 s": 0.2, "2 to 6 s": 4.0, "lognormal": 11.9}
START = 7.0
"""Seconds in which the law holds at every limit: what comes later is no start."""


def cold(
    limit: int, conditions: Conditions, *, seconds: float, hint: float | None = None, distance: float | None = None
) -> Outcome:
    def window(now: float, chance: Callable[[], float]) -> AdaptiveLimit:
        return AdaptiveLimit(cap=CAP, chance=chance, now=now, hint=hint, distance=lambda: distance)

    return Account(limits.fixed(limit, seconds), [window], conditions, 1).run()


def is_polite(outcome: Outcome, until: float = START) -> bool:
    refused, attempts = outcome.rudest(until)
    return refused <= max(20, 0.1 * attempts)


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "no numbers"])
@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("round_trip", [0.02, 0.1, 0.3, 1.0])
def test_no_second_of_a_start_sees_many_refusals(round_trip: float, answers: str, numbers: bool) -> None:
    conditions = Conditions(round_trip=round_trip, uniform=ANSWERS[answers], numbers=numbers)
    for limit in (5, 25, 60, 200, 350, 420, 500):
        assert is_polite(cold(limit, conditions, seconds=START)), limit


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "no numbers"])
@pytest.mark.parametrize("round_trip", [0.02, 0.1, 0.3])
def test_a_start_from_a_remembered_ceiling_is_as_polite_when_the_limit_has_sunk(
    round_trip: float, numbers: bool
) -> None:
    conditions = Conditions(round_trip=round_trip, uniform=(2.0, 6.0), numbers=numbers)
    for limit in (5, 60, 200, 400):
        assert is_polite(cold(limit, conditions, seconds=START, hint=400)), limit


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "no numbers"])
@pytest.mark.parametrize(("round_trip", "most"), [(0.02, 20), (0.05, 20), (0.3, 210), (1.0, 500)])
def test_a_gateway_nearby_with_its_server_far_behind_it_is_not_run_over(
    round_trip: float, most: int, numbers: bool
) -> None:
    """How far the gateway is says little of how long a refusal takes: it bounds what is sent before it is known."""
    conditions = Conditions(round_trip=round_trip, uniform=(2.0, 6.0), numbers=numbers)
    for limit in (5, 30, 60, 200, 500):
        refused, attempts = cold(limit, conditions, seconds=START, distance=2e-5).rudest(START)
        assert refused <= max(most, 0.1 * attempts), limit


def sent_at_most(window: AdaptiveLimit, times: list[float]) -> int:
    """The most that are in flight, when as many are sent as may be."""
    for now in times:
        while window.may_send(now):
            window.sent(now)
    return window.in_flight


def nearby() -> AdaptiveLimit:
    return AdaptiveLimit(cap=CAP, chance=lambda: 0.0, now=0.0, distance=lambda: 2e-5)


@pytest.mark.parametrize(("tick", "round_trip"), [(0.001, 0.0003), (0.001, 0.0007), (0.0156, 0.005), (0.0156, 0.0)])
def test_a_server_that_answers_within_one_tick_of_the_clock_is_filled_as_soon(tick: float, round_trip: float) -> None:
    """uvloop's clock ticks in milliseconds, that of Windows in 15.6. No answer ends here that would be replaced."""

    def seen(now: float) -> float:
        return math.floor(now / tick + 1e-9) * tick

    class Coarse(AdaptiveLimit):
        __slots__ = ()

        def may_send(self, now: float) -> bool:
            return super().may_send(seen(now))

        def next_change(self, now: float) -> float | None:
            due = super().next_change(seen(now))
            return None if due is None else max(due, now + 1e-4)

        def sent(self, now: float) -> Attempt:
            return super().sent(seen(now))

        def admitted(self, attempt: Attempt, now: float) -> None:
            super().admitted(attempt, seen(now))

    def window(now: float, chance: Callable[[], float]) -> AdaptiveLimit:
        return Coarse(cap=CAP, chance=chance, now=now, distance=lambda: 2e-5)

    conditions = Conditions(round_trip=round_trip, uniform=(20.0, 40.0))
    outcome = Account(limits.fixed(500, 4.0), [window], conditions, 1).run()
    assert outcome.full_after(0.0, 0.95, 500) <= 2
    assert is_polite(outcome)


def test_nobody_is_run_over_who_has_turned_one_away() -> None:
    window = nearby()
    first = window.sent(0.0)
    window.ended(first, 0.005, failed=True, overload=True)
    assert sent_at_most(window, [tick / 100 for tick in range(1, 30)]) <= 50


def test_a_restart_after_an_outage_is_no_burst_however_near_the_server_is() -> None:
    window = nearby()
    flying = [window.sent(0.0) for _ in range(4)]
    for attempt in flying:
        window.ended(attempt, 30.0, failed=True)
    window.restart(60.0)
    assert sent_at_most(window, [60.0 + tick / 100 for tick in range(30)]) <= 50


class Checked(AdaptiveLimit):
    """A window that looks at itself."""

    __slots__ = ()

    def may_send(self, now: float) -> bool:
        may = super().may_send(now)
        assert 0 <= self.size <= self._cap
        assert self.size >= 1 or self.in_flight == 0 or self.statistics(now).mode is Mode.DRAIN
        assert not may or self.in_flight < self.size
        return may


@given(seed=st.integers(0, 2**32))
@settings(max_examples=often(200, least=40), deadline=None)
def test_work_goes_on_whatever_is_known_of_the_way_and_of_the_limit(seed: int) -> None:
    """A server that takes calls is asked, and a window is never beyond its bounds."""
    drawn = random.Random(seed)
    cap, limit = drawn.choice([1, 2, 7, 60, 1000, CAP]), drawn.choice([1, 2, 5, 40, 300, 700])
    distance = drawn.choice([None, 0.0, 2e-5, 0.001, 0.05, 10.0])
    late = drawn.choice([0.0, 0.2, 3.0])  # when the kernel tells it
    conditions = Conditions(
        round_trip=drawn.choice([0.0, 0.001, 0.05, 0.3, 1.0]),
        uniform=drawn.choice([(0.2, 0.2), (0.05, 2.0), (1.0, 3.0)]),
        numbers=drawn.random() < 0.5,
        early_headers=drawn.random() < 0.6,
        stray=drawn.choice([0.0, 0.0, 0.05]),
    )
    known = {"start": float(cap)} if drawn.random() < 0.2 else {"hint": drawn.choice([None, 1, 30, cap, 10 * cap])}

    def window(now: float, chance: Callable[[], float]) -> AdaptiveLimit:
        clock = [now]

        class Told(Checked):
            __slots__ = ()

            def may_send(self, at: float) -> bool:
                clock[0] = at
                return super().may_send(at)

        tell = lambda: distance if clock[0] >= late else None  # noqa: E731
        return Told(cap=cap, chance=chance, now=now, distance=tell, **known)  # type: ignore[arg-type]

    outcome = Account(limits.fixed(limit, 40.0), [window], conditions, seed).run()
    last = sum(at >= 25.0 for at, _ in outcome.ended[0])
    assert last >= 2, (cap, limit, distance, late, conditions, known)


@pytest.mark.parametrize(
    ("limit", "round_trip", "seconds"),
    [(60, 0.02, 1), (60, 0.3, 3), (500, 0.02, 2), (500, 0.1, 4), (500, 0.3, 11), (2500, 0.02, 3), (2500, 0.3, 17)],
)
@pytest.mark.parametrize("answers", ["2 to 6 s", "lognormal"])
def test_the_limit_is_full_as_soon_as_round_trips_allow(
    limit: int, round_trip: float, seconds: float, answers: str
) -> None:
    outcome = cold(limit, Conditions(round_trip=round_trip, uniform=ANSWERS[answers]), seconds=seconds + 4)
    full = MEAN[answers] / (MEAN[answers] + round_trip)
    assert outcome.full_after(0.0, 0.95 * full, limit) <= seconds


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "no numbers"])
@pytest.mark.parametrize("round_trip", [0.02, 0.1, 0.3])
def test_answers_that_end_together_do_not_make_the_window_crawl(round_trip: float, numbers: bool) -> None:
    """Of 500 places those are empty whose replacements travel; half of what is left then is far from a crawl."""
    outcome = cold(500, Conditions(round_trip=round_trip, uniform=(0.2, 0.2), numbers=numbers), seconds=40.0)
    able = 500 * 0.2 / (0.2 + round_trip)
    assert min(outcome.busy_by_second[12:40]) >= 0.5 * able
    assert outcome.refused <= 2.0


def test_a_trial_is_not_refilled_by_the_retries_of_what_it_was_refused() -> None:
    trial = LoadTrial(LoadLevel.FREE, first=0, began=0.0)
    # Each of fifteen that are refused is sent again before the next refusal is read.
    assert [trial.told_enough(number) for number in range(1, 16)] == [False] * 9 + [True] * 6


def test_refusals_amid_as_many_admissions_do_not_pause_a_trial() -> None:
    trial = LoadTrial(LoadLevel.FREE, first=0, began=0.0)
    assert not any(trial.told_enough(number) for number in range(1, 100, 2))


@pytest.mark.parametrize("limit", [2, 3])
def test_a_very_low_limit_without_numbers_is_explored_by_few(limit: int) -> None:
    for round_trip in (0.1, 0.2):
        refused, _ = cold(
            limit, Conditions(round_trip=round_trip, uniform=(0.2, 0.2), numbers=False), seconds=20.0
        ).rudest()
        assert refused <= 50


@pytest.mark.parametrize("limit", [60, 500])
def test_a_server_that_says_nothing_until_it_answers_is_filled_as_well(limit: int) -> None:
    conditions = Conditions(uniform=(2.0, 6.0), early_headers=False)
    assert cold(limit, conditions, seconds=20.0).full_after(0.0, 0.85, limit) <= 13
