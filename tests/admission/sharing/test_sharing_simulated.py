"""Many processes of one account that share its window, in virtual time; truth is what the server counts."""

from __future__ import annotations

import random

import pytest

from benchmarks.simulation.account import Account, Conditions
from benchmarks.simulation.limits import fixed
from benchmarks.simulation.processes import SETTLING, UNTIL, Situation, kills, web_cells
from benchmarks.simulation.sharing import Sharing
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply


def figures(situation: Situation, seed: int = 1) -> tuple[float, float, float]:
    """Share of the limit in use, of attempts refused, and the largest number of answers by the smallest."""
    outcome = situation.play(Sharing, seed)
    first, last = int(SETTLING), int(UNTIL)
    busy = sum(outcome.busy_by_second[first:last]) / (situation.trace.at(0) * (last - first))
    refused = outcome.refusals_between(first, UNTIL) / sum(outcome.attempts_by_second[first:])
    served = [sum(at >= first for at, _ in ended) for ended in outcome.ended]
    return busy, refused, max(served) / min(served)


@pytest.mark.parametrize(
    ("limit", "processes", "numbers", "bounds"),
    [(60, 8, True, (0.97, 0.01, 1.25)), (60, 8, False, (0.95, 0.015, 1.4)), (200, 16, True, (0.97, 0.01, 1.25))],
)
def test_a_limit_is_used_to_the_full_in_equal_parts_and_hardly_ever_met(
    limit: int, processes: int, numbers: bool, bounds: tuple[float, float, float]
):
    least, most, spread = bounds
    busy, refused, unequal = figures(Situation("", processes, fixed(limit, UNTIL), numbers=numbers))
    assert busy >= least
    assert refused <= most
    assert unequal <= spread


def test_a_limit_below_the_number_of_processes_is_taken_in_turns():
    busy, refused, unequal = figures(Situation("", 8, fixed(5, UNTIL)))
    assert busy >= 0.95
    assert refused <= 0.1
    assert unequal <= 2.5


@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "no numbers"])
@pytest.mark.parametrize(("limit", "processes"), [(600, 2), (600, 8), (1500, 2)])
def test_a_group_that_finds_its_limit_for_the_first_time_stays_together(limit: int, processes: int, numbers: bool):
    """What a start had in flight beyond the limit locates it, and is no sign that a common limit explains nothing."""
    replies: list[Reply] = []

    class Watched(Sharing):
        def exchange(self, beat: Heartbeat, now: float) -> Reply:
            replies.append(super().exchange(beat, now))
            return replies[-1]

    together = Watched(processes, random.Random(1).random)
    conditions = Conditions(round_trip=0.02, uniform=(2.0, 6.0), numbers=numbers)
    Account(fixed(limit, 12.0), [lambda *_, made=made: made for made in together.windows], conditions, 1).run()
    assert replies[-1].refused > 0
    assert not any(reply.apart_until for reply in replies)


@pytest.mark.parametrize(("limit", "answers"), [(100, (0.3, 2.0)), (250, (1.0, 1.0)), (500, (1.0, 1.0))])
def test_no_refusal_makes_the_window_of_a_group_larger(limit: int, answers: tuple[float, float]):
    """How old the stand-in of a refused attempt is says nothing of the way, and allows nothing for it."""
    together = Sharing(3, random.Random(1).random)
    conditions = Conditions(round_trip=0.005, uniform=answers, join_every=3.0)
    made = [lambda *_, made=made: made for made in together.windows]
    outcome = Account(fixed(limit, 25.0), made, conditions, 1).run()
    refused, attempts = outcome.rudest()
    assert refused <= max(25, 0.1 * attempts)
    assert outcome.refusals_between(9.0, 25.0) <= 0.02 * sum(outcome.attempts_by_second[9:25])


def test_processes_that_are_killed_again_and_again_take_no_place_with_them():
    busy, refused, _ = figures(Situation("", 8, fixed(60, UNTIL), prepare=kills))
    assert busy >= 0.88
    assert refused <= 0.02


def test_after_minutes_of_kills_the_whole_limit_is_used_again():
    seconds = 200
    outcome = Situation("", 8, fixed(60, seconds), prepare=kills).play(Sharing, 1)
    assert sum(outcome.busy_by_second[seconds - 10 : seconds]) >= 0.95 * 60 * 10


def test_people_of_an_uneven_four_wait_as_long_as_those_of_one():
    ratio = float(web_cells(Situation("", 4, fixed(60, UNTIL), load=0.8), Sharing, seeds=1)[-1])
    assert ratio <= 1.15
