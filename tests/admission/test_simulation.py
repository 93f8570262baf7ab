"""The production window against a hidden limit: what it promises, held in simulated time."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

import pytest
from support.thoroughness import often

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.simulation import limits  # noqa: E402
from benchmarks.simulation.account import Account, Conditions, Outcome  # noqa: E402
from benchmarks.simulation.contestants import CONTESTANTS  # noqa: E402


def runs(*, numbers: bool) -> list[tuple[str, Outcome]]:
    conditions = Conditions(numbers=numbers)
    return [
        (trace.name, Account(trace, [CONTESTANTS["ours"]], conditions, seed).run())
        for seed in range(often(3, least=1))
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


def test_the_slots_of_a_process_that_is_killed_are_free_for_the_others():
    account = Account(limits.fixed(60, 100), [CONTESTANTS["ours"]] * 2, Conditions(), 0)
    account.happen(50.0, lambda now: account.kill(0, now))
    outcome = account.run()
    assert not [at for at, _ in outcome.ended[0] if at > 50.0]
    assert sum(outcome.busy_by_second[80:100]) >= 0.9 * 20 * 60


def test_a_process_that_is_stopped_does_nothing_until_it_goes_on():
    account = Account(limits.fixed(60, 100), [CONTESTANTS["ours"]] * 2, Conditions(uniform=(2.0, 6.0)), 0)
    account.happen(50.0, lambda now: account.stop(0, now, 6.0))
    ended = account.run().ended[0]
    assert not [at for at, _ in ended if 50.0 < at < 56.0]
    assert [at for at, _ in ended if at == 56.0]
    assert [at for at, _ in ended if at > 60.0]


def test_every_call_that_comes_is_answered_once():
    arrivals = [iter([1.0, 1.0, 2.5]), iter([3.0])]
    conditions = Conditions(uniform=(2.0, 6.0), round_trip=0.1)
    outcome = Account(limits.fixed(1, 100), [CONTESTANTS["ours"]] * 2, conditions, 0, arrivals).run()
    assert outcome.served == [3, 1]
    assert all(took >= 2.1 for ended in outcome.ended for _, took in ended)
