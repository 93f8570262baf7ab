"""What makes a row the same row in the next run."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.digests import Occurrences
from deepseek_async.batch.row import Defaults, RowReader
from deepseek_async.batch.row_identity import Shard, digest, is_unnamed, key_of, request_hash, unnamed, unnamed_key
from deepseek_async.errors import ConfigurationError

PROMPTS = st.lists(st.sampled_from("abcdef"), max_size=30)


def names(prompts: list[Any]) -> list[str]:
    reader, occurrences = RowReader(Defaults()), Occurrences()
    rows = [reader.read(prompt) for prompt in prompts]
    return [row.custom_id or unnamed(request_hash(row), occurrences.next(request_hash(row))) for row in rows]


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
    occurrences = Occurrences()
    given_names = [unnamed(request_hash(row), occurrences.next(request_hash(row))) for row in rows]

    assert len(set(given_names)) == 3
    assert request_hash(rows[0]) == request_hash(rows[2])


def test_a_made_up_name_is_told_from_a_custom_id():
    assert is_unnamed(unnamed(2**64 - 1, 123).encode())
    assert not is_unnamed(b"row-1")
    assert not is_unnamed(b"a")


@given(st.binary(max_size=40))
def test_a_key_fits_into_a_table(name: bytes):
    assert 0 < key_of(name) < 2**64


def test_every_row_is_in_exactly_one_shard_and_none_is_much_larger():
    shards = [Shard(number, 8) for number in range(1, 9)]
    sizes = [0] * 8
    for number in range(8000):
        mine = [shard.number for shard in shards if shard.has(f"row-{number}".encode())]
        assert len(mine) == 1
        sizes[mine[0] - 1] += 1

    assert min(sizes) > 850


def test_shards_are_the_same_on_every_machine():
    assert [name for name in "abcdefgh" if Shard(1, 2).has(name.encode())] == ["a", "b", "e", "f", "g", "h"]


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "0/2", "3/2", "a/b", "1/2/3", "-1/2", "1.0/2", "\u0661/2"])
def test_what_names_no_shard_is_refused(text: str):
    with pytest.raises(ConfigurationError, match="shard"):
        Shard.parse(text)


@given(st.integers(0, 2**64 - 1), st.integers(0, 10**18))
def test_the_key_of_a_name_that_was_given_is_known_without_the_name(hashed: int, occurrence: int):
    assert key_of(unnamed(hashed, occurrence).encode()) == unnamed_key(hashed, occurrence) != 0


@pytest.mark.parametrize("name", ["row-00000000000000AB-0", "row-00000000000000ab-00", "row-00000000000000ab-+1"])
def test_a_name_that_only_looks_like_a_given_one_has_a_key_of_its_own(name: str):
    assert not is_unnamed(name.encode())
    assert key_of(name.encode()) not in {unnamed_key(0xAB, 0), unnamed_key(0xAB, 1)}
