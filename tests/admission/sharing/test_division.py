"""A window divided among those who want to use it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.admission.sharing.division import BULK_SHARE, Demand, divide, still_owed

MANY = 1 << 30
numbers = st.integers(0, 3000)
demands = st.lists(
    st.builds(
        Demand,
        name=st.text("abcdef", min_size=1, max_size=4),
        people=st.integers(0, 400),
        bulk=st.integers(0, 400),
        most=st.integers(0, 500),
        share=st.integers(0, 500),
        owed=st.integers(-20_000, 20_000),
    ),
    max_size=20,
    unique_by=lambda demand: demand.name,
)


def bulk(*wanted: int, **others) -> list[Demand]:
    return [Demand(f"m{number}", 0, want, MANY, **others) for number, want in enumerate(wanted)]


def places(window: int, demands: list[Demand]) -> list[int]:
    return [part.places for part in divide(window, demands)]


@given(numbers, demands)
def test_no_more_is_given_than_there_is_and_nobody_gets_more_than_it_can_use(window: int, demands: list[Demand]):
    given_out = places(window, demands)
    assert sum(given_out) <= window
    assert all(0 <= got <= demand.most for got, demand in zip(given_out, demands, strict=True))


@given(numbers, demands)
def test_nothing_is_held_back_from_those_who_want_more(window: int, demands: list[Demand]):
    parts = divide(window, demands)
    wanted = [min(demand.people + demand.bulk, demand.most) for demand in demands]
    if any(part.places < want for part, want in zip(parts, wanted, strict=True)):
        assert sum(part.places for part in parts) == window


@given(st.integers(1, 3000), st.integers(1, 16))
def test_bulk_that_wants_all_is_given_equal_parts(window: int, members: int):
    given_out = places(window, bulk(*[window] * members))
    assert sum(given_out) == window
    assert max(given_out) - min(given_out) <= 1


@given(numbers, demands)
def test_bulk_keeps_a_tenth_however_many_people_wait(window: int, demands: list[Demand]):
    parts = divide(window, demands)
    people = sum(min(demand.people, demand.most) for demand in demands)
    wanted = sum(min(demand.bulk, demand.most - min(demand.people, demand.most)) for demand in demands)
    if people >= window:
        assert sum(part.places for part in parts) - min(wanted, -(-window // BULK_SHARE)) <= window
        exact = sum(part.exact for part in parts) / 1000
        assert exact <= window + 1


def test_people_are_given_places_in_proportion_to_how_many_wait():
    assert places(60, [Demand("a", 120, 0, MANY), Demand("b", 60, 0, MANY)]) == [40, 20]


def test_people_come_before_bulk_of_other_processes():
    assert places(60, [Demand("a", 50, 0, MANY), Demand("b", 0, 100, MANY)]) == [50, 10]


def test_what_one_does_not_want_the_others_get():
    assert places(60, bulk(5, 100, 100)) == [5, 28, 27]


def test_what_nobody_wants_is_lent_so_that_a_call_finds_a_place():
    assert places(2500, [Demand("a", 0, 0, MANY), Demand("b", 30, 0, MANY)]) == [8, 60]


def test_a_place_that_cannot_be_divided_stays_with_who_has_it_until_another_is_owed_for_it():
    first, second = bulk(9, 9)
    first.share = 4
    assert places(7, [first, second]) == [4, 3]
    second.owed = 2500
    assert places(7, [first, second]) == [3, 4]


def test_turns_are_taken_over_time():
    members = bulk(*[3] * 8)
    had = [0] * 8
    for _ in range(400):
        parts = divide(5, members)
        for number, (member, part) in enumerate(zip(members, parts, strict=True)):
            member.owed = still_owed(member, part, 250)
            member.share = part.places
            had[number] += part.places
    assert sum(had) == 5 * 400
    assert max(had) <= 1.25 * min(had)


def test_what_was_lent_is_no_debt():
    demand = Demand("a", 2, 0, MANY, share=30)
    (part,) = divide(100, [demand])
    assert still_owed(demand, part, 1000) == 0


def test_bulk_does_not_keep_the_only_place_from_people():
    parts = divide(1, [Demand("a", 1, 0, 99), Demand("b", 0, 100, 99)])
    assert [part.places for part in parts] == [1, 0]
