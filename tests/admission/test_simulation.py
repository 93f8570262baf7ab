"""The production window against a hidden limit: what it promises, held in simulated time."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.simulation import limits  # noqa: E402
from benchmarks.simulation.account import Account, Conditions, Outcome  # noqa: E402
from benchmarks.simulation.contestants import CONTESTANTS  # noqa: E402


def runs(*, numbers: bool) -> list[tuple[str, Outcome]]:
    conditions = Conditions(numbers=numbers)
    return [
        (trace.name, Account(trace, [CONTESTANTS["ours"]], conditions, seed).run())
        for seed in range(3)
        for trace in limits.five(seed)
    ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("numbers", "most_refused"), [(True, 1.1), (False, 1.6)], ids=["numbers", "no numbers"])
def test_the_window_keeps_the_limit_busy_with_few_refusals(numbers: bool, most_refused: float):
    outcomes = runs(numbers=numbers)
    assert fmean(one.used for _, one in outcomes) >= 95
    assert fmean(one.refused for _, one in outcomes) <= most_refused
    assert min(one.used for name, one in outcomes if name.startswith("fixed")) >= 96


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_that_falls_costs_few_refusals(seed: int):
    outcome = Account(limits.step(500, 100), [CONTESTANTS["ours"]], Conditions(), seed).run()
    assert outcome.refusals_between(limits.LONG / 2, limits.LONG / 2 + 120) <= 30


def test_after_an_outage_the_limit_is_full_again_within_half_a_minute():
    outcome = Account(limits.outage(), [CONTESTANTS["ours"]], Conditions(), 0).run()
    assert outcome.full_after(limits.LONG / 2 + 120, 0.95, 500) <= 30
