"""Sets and maps of digests that must be small and must not lie."""

from __future__ import annotations

import random
import sys

from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.digests import DigestMap, DigestSet, Occurrences
from deepseek_async.batch.row_identity import digest

DIGESTS = st.integers(1, 2**64 - 1)
# Digests that all want the same place in the table.
CROWDED = st.integers(1, 2**50).map(lambda high: (high << 12) % 2**64 or 1)


@given(st.lists(DIGESTS | CROWDED, max_size=3000), st.lists(DIGESTS))
def test_a_digest_set_is_a_set(added: list[int], others: list[int]):
    table, expected = DigestSet(), set[int]()
    for value in added:
        assert table.add(value) == (value not in expected)
        expected.add(value)

    assert len(table) == len(expected)
    assert all(value in table for value in expected)
    assert all((value in table) == (value in expected) for value in others)


def test_a_digest_set_grows_past_its_first_table():
    chance = random.Random(7)
    values = {chance.getrandbits(64) | 1 for _ in range(20_000)}
    table = DigestSet()
    for value in values:
        table.add(value)

    assert len(table) == len(values)
    assert all(value in table for value in values)
    assert not any(value in table for value in (chance.getrandbits(64) | 1 for _ in range(1000)) if value not in values)


def test_a_digest_takes_at_most_27_bytes():
    table = DigestSet()
    for number in range(1, 100_000):
        table.add(digest(number.to_bytes(8, "big")))
        if number > 5000 and number % 97 == 0:
            assert sys.getsizeof(table._table) <= 27 * number


@given(st.lists(st.tuples(DIGESTS | CROWDED, DIGESTS), max_size=3000), st.lists(DIGESTS))
def test_a_digest_map_is_a_map(entries: list[tuple[int, int]], others: list[int]):
    table, expected = DigestMap(), dict[int, int]()
    for key, value in entries:
        assert table.put(key, value) == expected.get(key)
        expected[key] = value

    assert len(table) == len(expected)
    assert all(table.get(key) == expected.get(key) for key in [*expected, *others])


def test_a_digest_map_grows_past_its_first_table():
    chance = random.Random(7)
    expected = {chance.getrandbits(64) | 1: number for number in range(20_000)}
    table = DigestMap()
    for key, value in expected.items():
        table.put(key, value)

    assert all(table.get(key) == value for key, value in expected.items())


@given(st.lists(st.integers(1, 9)))
def test_occurrences_count_what_came_before(values: list[int]):
    occurrences = Occurrences()

    assert [occurrences.next(value) for value in values] == [
        values[:place].count(value) for place, value in enumerate(values)
    ]


def test_what_comes_only_once_takes_no_place_in_the_map_of_repeats():
    occurrences = Occurrences()
    for number in range(1, 1000):
        occurrences.next(number)

    assert len(occurrences._repeats) == 0


@given(st.dictionaries(DIGESTS, st.integers(0, 2**60)), DIGESTS, st.integers(0, 2**60))
def test_a_number_that_is_there_stays(numbers: dict[int, int], key: int, number: int):
    table = DigestMap()
    for known, value in numbers.items():
        table.put(known, value)

    assert table.setdefault(key, number) == numbers.setdefault(key, number)
    assert {known: table.get(known) for known in numbers} == numbers
