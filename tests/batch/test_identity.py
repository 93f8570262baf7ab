"""What makes a row the same row in the next run."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.identity import DigestSet, Identities, digest, request_hash
from deepseek_async.batch.row import Defaults, Row, RowReader

DIGESTS = st.integers(1, 2**64 - 1)
# Digests that all want the same place in the table.
CROWDED = st.integers(1, 2**50).map(lambda high: (high << 12) % 2**64 or 1)
PROMPTS = st.lists(st.sampled_from("abcdef"), max_size=30)


def names(prompts: list[Any]) -> list[str | None]:
    reader, identities = RowReader(Defaults()), Identities()
    rows = [reader.read(prompt) for prompt in prompts]
    return [identities.name(row, request_hash(row)) for row in rows]


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


def test_a_digest_is_never_the_mark_of_an_empty_place():
    assert digest(b"") != 0
    assert all(0 < digest(bytes([number])) < 2**64 for number in range(256))


@given(PROMPTS, st.randoms())
def test_names_stay_when_rows_move(prompts: list[str], chance: random.Random):
    moved = list(prompts)
    chance.shuffle(moved)

    assert sorted(map(str, names(moved))) == sorted(map(str, names(prompts)))
    first = dict(zip(prompts, names(prompts), strict=True))
    again = dict(zip(moved, names(moved), strict=True))
    assert first == again, "the last of equal rows has the same name wherever it stands"


@given(PROMPTS, PROMPTS, st.integers(0, 30))
def test_names_stay_when_rows_are_inserted(prompts: list[str], inserted: list[str], place: int):
    more = prompts[:place] + inserted + prompts[place:]

    assert set(names(prompts)) <= set(names(more))


@given(PROMPTS)
def test_equal_rows_without_an_id_have_names_of_their_own(prompts: list[str]):
    given_names = names(prompts)

    assert None not in given_names
    assert len(set(given_names)) == len(prompts)


def test_a_second_custom_id_has_no_name():
    rows = [{"custom_id": name, "prompt": f"{position}"} for position, name in enumerate("abab")]

    assert names(rows) == ["a", "b", None, None]


def test_a_custom_id_is_kept_whatever_is_asked():
    rows = [{"custom_id": "a", "prompt": "x"}, {"prompt": "x"}, {"custom_id": "b", "prompt": "x"}]

    first, without, last = names(rows)
    assert (first, last) == ("a", "b")
    assert without is not None
    assert without.startswith("row-")


def test_the_order_of_keys_does_not_change_a_row():
    one = {"messages": [{"role": "user", "content": "a"}], "temperature": 0.5}
    other = {"temperature": 0.5, "messages": [{"content": "a", "role": "user"}]}

    assert names([one]) == names([other])


@pytest.mark.parametrize("change", [{"temperature": 0.6}, {"model": "deepseek-v4-pro"}, {"prompt": "b"}])
def test_what_is_asked_changes_a_row(change: dict[str, Any]):
    row = {"prompt": "a", "temperature": 0.5, "model": "deepseek-flash"}

    assert names([row]) != names([{**row, **change}])


def test_names_are_the_same_in_every_process_and_release():
    assert names(["Hello", "Hello"]) == ["row-8d9f74ea65e6d45b-0", "row-8d9f74ea65e6d45b-1"]


def test_a_row_with_half_an_emoji_still_has_a_name():
    one, other = names(["cut \ud83d", "cut \ud83e"])

    assert one != other


def test_bad_rows_are_told_apart_by_what_could_not_be_read():
    reader = RowReader(Defaults())
    rows = [reader.unreadable(line, "not JSON", text) for line, text in enumerate((b"{", b"[", b"{"), 1)]
    identities = Identities()
    given_names = [identities.name(row, request_hash(row)) for row in rows]

    assert len(set(given_names)) == 3
    assert request_hash(rows[0]) == request_hash(rows[2])


def test_a_million_different_rows_would_take_no_place_in_the_dict_of_repeats():
    identities = Identities()
    for number in range(1000):
        identities.name(Row(number, number + 1), digest(str(number).encode()))

    assert identities._repeats == {}
