"""Who waits for whom, without a clock: rows are taken, and end when the test says so."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.schedule.prefix import NO_PREFIX, Prefix, covered
from deepseek_async.batch.schedule.prefix_scheduler import PrefixScheduler, Ticket

CHUNKS = 4  # of a group's common beginning: 2,048 bytes


def row(group: int, number: int, chunks: int = CHUNKS) -> tuple[str, Prefix]:
    """A row whose first chunks are its group's and whose last is its own."""
    keys = (*(hash((group, chunk)) for chunk in range(chunks)), hash((group, "own", number)))
    return f"{group}/{number}", Prefix(keys, covered(chunks + 1))


def taken(lineup: PrefixScheduler[str]) -> dict[str, Ticket[str]]:
    """All that may go now."""
    went = {}
    while (ticket := lineup.take()) is not None:
        went[ticket.row] = ticket
    return went


def lineup_of(*rows: tuple[str, Prefix], **limits: int) -> PrefixScheduler[str]:
    lineup: PrefixScheduler[str] = PrefixScheduler(**limits)
    for name, prefix in rows:
        lineup.add(name, prefix)
    return lineup


def test_one_of_each_group_goes_and_the_others_follow_when_it_has_ended():
    lineup = lineup_of(*(row(group, number) for number in range(3) for group in range(2)))

    leaders = taken(lineup)
    assert list(leaders) == ["0/0", "1/0"]
    assert all(ticket.shared == 0 for ticket in leaders.values())

    lineup.ended(leaders["1/0"], answered=True)
    followers = taken(lineup)
    assert list(followers) == ["1/1", "1/2"]
    assert {ticket.shared for ticket in followers.values()} == {covered(CHUNKS)}

    lineup.ended(leaders["0/0"], answered=True)
    assert list(taken(lineup)) == ["0/1", "0/2"]
    assert len(lineup) == 0


def test_rows_without_company_and_rows_without_a_prefix_go_straight_through():
    lineup = lineup_of(row(1, 0), ("short", NO_PREFIX), row(2, 0), ("short too", NO_PREFIX), row(3, 0))

    assert list(taken(lineup)) == ["1/0", "short", "2/0", "short too", "3/0"]


def test_less_than_256_shared_tokens_are_not_waited_for():
    assert list(taken(lineup_of(row(1, 0, chunks=1), row(1, 1, chunks=1)))) == ["1/0", "1/1"]
    assert list(taken(lineup_of(row(1, 0, chunks=2), row(1, 1, chunks=2)))) == ["1/0"]


def test_a_leader_that_fails_is_followed_by_another_leader():
    lineup = lineup_of(*(row(1, number) for number in range(3)))
    first = taken(lineup)["1/0"]

    lineup.ended(first, answered=False)
    second = taken(lineup)
    assert list(second) == ["1/1"]
    lineup.ended(second["1/1"], answered=True)
    assert list(taken(lineup)) == ["1/2"]


def test_a_group_whose_leaders_all_fail_does_not_go_one_by_one():
    lineup = lineup_of(*(row(1, number) for number in range(100)))

    rounds = 0
    while len(lineup):
        for ticket in taken(lineup).values():
            lineup.ended(ticket, answered=False)
        rounds += 1
    assert rounds == 4


def test_a_leader_that_takes_too_long_is_replaced_and_may_still_end():
    lineup = lineup_of(*(row(1, number) for number in range(3)))
    first = taken(lineup)["1/0"]
    assert lineup.is_awaited(first)

    lineup.overdue(first)
    assert not lineup.is_awaited(first)
    assert list(taken(lineup)) == ["1/1"]
    lineup.ended(first, answered=True)
    # What it wrote is there now, although 1/1, which the row waits for, is still under way.
    lineup.add(*row(1, 9))
    assert list(taken(lineup)) == ["1/9"]


def test_of_nested_prefixes_each_level_has_its_leader():
    def nested(document: int, number: int) -> tuple[str, Prefix]:
        system = [hash(("system", chunk)) for chunk in range(CHUNKS)]
        text = [hash((document, chunk)) for chunk in range(CHUNKS)]
        keys = (*system, *text, hash((document, "own", number)))
        return f"{document}/{number}", Prefix(keys, covered(len(keys)))

    lineup = lineup_of(*(nested(document, number) for number in range(2) for document in range(3)))

    first = taken(lineup)
    assert list(first) == ["0/0"]
    lineup.ended(first["0/0"], answered=True)
    second = taken(lineup)
    assert list(second) == ["1/0", "2/0", "0/1"]
    assert [ticket.shared for ticket in second.values()] == [covered(CHUNKS), covered(CHUNKS), covered(2 * CHUNKS)]
    lineup.ended(second["1/0"], answered=True)
    assert list(taken(lineup)) == ["1/1"]


def test_no_more_rows_are_held_than_was_said():
    lineup = lineup_of(*(row(1, number) for number in range(4)), held_rows=3)
    taken(lineup)
    assert lineup.full

    big = lineup_of(row(1, 0), row(1, 1), held_bytes=covered(CHUNKS))
    leader = taken(big)["1/0"]
    assert big.full
    big.ended(leader, answered=True)
    taken(big)
    assert not big.full


def answer_all(lineup: PrefixScheduler[str], cached: Callable[[int], int]) -> int:
    """Take and end rows until none may go; ``cached`` makes a promise into what the server says."""
    answered = 0
    for ticket in taken(lineup).values():
        promised = covered(CHUNKS) // 4 // 128 * 128 if ticket.shared else 0
        lineup.judge(ticket, ticket.prefix.size // 4, cached(promised))
        lineup.ended(ticket, answered=True)
        answered += 1
    return answered


def test_hits_that_do_not_come_end_the_order():
    lineup = lineup_of(*(row(1, number) for number in range(30)))
    answer_all(lineup, lambda _: 0)
    answer_all(lineup, lambda _: 0)

    assert lineup.given_up
    assert lineup.predicted == 29 * 512
    for number in range(5):
        lineup.add(*row(2, number))
    assert len(taken(lineup)) == 5


def test_rows_held_when_order_is_given_up_go_at_once():
    lineup = lineup_of(*(row(1, number) for number in range(40)), *(row(2, number) for number in range(3)))
    leaders = taken(lineup)
    lineup.ended(leaders["1/0"], answered=True)
    while (ticket := lineup.take()) is not None:
        lineup.judge(ticket, ticket.prefix.size // 4, 0)

    assert lineup.given_up
    assert len(lineup) == 0


@pytest.mark.parametrize("share", [1.0, 0.8, 0.55])
def test_hits_that_mostly_come_keep_it(share: float):
    lineup = lineup_of(*(row(1, number) for number in range(200)))
    answer_all(lineup, lambda promised: promised)
    answer_all(lineup, lambda promised: int(promised * share))

    assert not lineup.given_up


def test_hits_that_stop_coming_end_the_order_soon():
    lineup = lineup_of(row(1, 0))
    answer_all(lineup, lambda promised: promised)
    for number in range(1000):
        lineup.add(*row(1, number))
    answer_all(lineup, lambda promised: promised)
    assert not lineup.given_up

    since = 0
    while not lineup.given_up:
        lineup.add(*row(1, 5000 + since))
        answer_all(lineup, lambda _: 0)
        since += 1
    assert since < 50


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_every_row_goes_exactly_once_whatever_ends_when_and_how(
    rows: list[tuple[int, bool]],
    slots: int,
    chance: random.Random,
):
    """And what was promised is in the cache: the keys of requests that have ended with an answer."""
    lineup: PrefixScheduler[str] = PrefixScheduler()
    for number, (group, _) in enumerate(rows):
        lineup.add(*row(group, number))
    fails = {f"{group}/{number}": fails for number, (group, fails) in enumerate(rows)}
    cache: set[int] = set()
    went: list[str] = []
    running: list[Ticket[str]] = []
    while len(lineup) or running:
        while len(running) < slots and (ticket := lineup.take()) is not None:
            known = 0
            while known < len(ticket.prefix.keys) and ticket.prefix.keys[known] in cache:
                known += 1
            assert ticket.shared == covered(known)
            went.append(ticket.row)
            running.append(ticket)
        assert running, "rows wait, and nothing is in flight that could release them"
        ended = running.pop(chance.randrange(len(running)))
        if not fails[ended.row]:
            cache.update(ended.prefix.keys)
        lineup.ended(ended, answered=not fails[ended.row])
    assert sorted(went) == sorted(fails)
    assert not lineup._held
    assert not lineup._warming


def simulated(rows: Sequence[tuple[str, Prefix]], slots: int, *, ordered: bool) -> tuple[float, int]:
    """Seconds and chunk hits of a run against a server that caches what has ended, on virtual time."""
    chance = random.Random(7)
    lineup: PrefixScheduler[str] = PrefixScheduler()
    for name, prefix in rows:
        lineup.add(name, prefix)
    lineup.given_up = not ordered
    cache: set[int] = set()
    running: list[tuple[float, int, Ticket[str]]] = []
    now, hits, number = 0.0, 0, 0
    while len(lineup) or running:
        while len(running) < slots and (ticket := lineup.take()) is not None:
            hits += sum(key in cache for key in ticket.prefix.keys)
            heapq.heappush(running, (now + chance.uniform(0.5, 1.5), number, ticket))
            number += 1
        now, _, ended = heapq.heappop(running)
        cache.update(ended.prefix.keys)
        lineup.ended(ended, answered=True)
    return now, hits


@pytest.mark.parametrize("slots", [16, 60, 100, 200])
def test_twenty_shuffled_groups_hit_what_can_be_hit_in_about_the_same_time(slots: int):
    rows = [row(group, number, chunks=20) for group in range(20) for number in range(60)]
    random.Random(3).shuffle(rows)
    reachable = 20 * 59 * 20

    seconds, hits = simulated(rows, slots, ordered=True)
    plain_seconds, plain_hits = simulated(rows, slots, ordered=False)

    assert hits >= 0.99 * reachable
    assert plain_hits < hits
    assert seconds <= 1.3 * plain_seconds
