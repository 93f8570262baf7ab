"""A process that knows nothing of its account, against hidden limits: how soon it is there, and how politely.

Virtual time. No second of the start may see more than 20 refusals, or one attempt in ten.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.simulation import limits  # noqa: E402
from benchmarks.simulation.account import Account, Conditions, Outcome  # noqa: E402
from benchmarks.simulation.contestants import CAP  # noqa: E402
from deepseek_async.admission.concurrency import AdaptiveWindow  # noqa: E402

ANSWERS = {"0.2 s": (0.2, 0.2), "2 to 6 s": (2.0, 6.0), "lognormal": None}
MEAN = {"0.2 s": 0.2, "2 to 6 s": 4.0, "lognormal": 11.9}
START = 7.0
"""Seconds in which the law holds at every limit: what comes later is no start."""


def cold(
    limit: int, conditions: Conditions, *, seconds: float, hint: float | None = None, distance: float | None = None
) -> Outcome:
    def window(now: float, chance: Callable[[], float]) -> AdaptiveWindow:
        return AdaptiveWindow(cap=CAP, chance=chance, now=now, hint=hint, distance=lambda: distance)

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


@pytest.mark.parametrize("limit", [60, 500])
def test_a_server_that_says_nothing_until_it_answers_is_filled_as_well(limit: int) -> None:
    conditions = Conditions(uniform=(2.0, 6.0), early_headers=False)
    assert cold(limit, conditions, seconds=20.0).full_after(0.0, 0.85, limit) <= 13
