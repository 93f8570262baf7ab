"""JSON that servers send and strict parsers refuse is read, and what was read can be written."""

from __future__ import annotations

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.types.json_text import read, write

STRICT = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(STRICT)
def test_strict_json_reads_as_it_always_did(value: object):
    assert read(orjson.dumps(value)) == value
    assert orjson.loads(write(value)) == value


@given(STRICT)
def test_json_that_only_we_read_reads_alike(value: object):
    assert read(b"\xef\xbb\xbf" + orjson.dumps(value)) == value


@given(st.text(st.characters()) | st.just("\ud83d"))
def test_any_text_comes_back_also_with_half_a_pair(text: str):
    assert read(write({"text": text})) == {"text": text}


@pytest.mark.parametrize("digits", [1, 19, 20, 21, 308, 400, 4301, 10_000])
def test_a_whole_number_of_any_length_is_read_and_can_be_written(digits: int):
    for sign in ("", "-"):
        # NaN beside it: strict parsers refuse both, and one must not spoil the other.
        loaded = read(f'{{"n": {sign}{"7" * digits}, "odd": NaN}}'.encode())
        assert loaded["n"] == pytest.approx(float(sign + "7" * digits))
        assert orjson.loads(write(loaded))["odd"] is None


@pytest.mark.parametrize("whole", [2**64 - 1, -(2**63), 2**63, 0, -1])
def test_a_whole_number_of_64_bits_is_exact_beside_odd_json(whole: int):
    assert read(f"[NaN, {whole}]".encode())[1] == whole
    assert type(read(f"[NaN, {whole}]".encode())[1]) is int


def test_infinities_are_read():
    assert read(b"[Infinity, -Infinity, 1e999]") == [math.inf, -math.inf, math.inf]


def test_bytes_that_are_no_utf8_are_replaced_or_refused_as_asked():
    assert read(b'{"a": "\xff"}') == {"a": "�"}
    with pytest.raises(UnicodeDecodeError):
        read(b'{"a": "\xff"}', errors="strict")


@pytest.mark.parametrize("wire", [b"", b"{", b"<html>", b"nan", b"7 7"])
def test_what_is_no_json_is_refused(wire: bytes):
    with pytest.raises(json.JSONDecodeError):
        read(wire)


def test_json_without_an_end_of_its_depth_is_refused():
    with pytest.raises((ValueError, RecursionError)):
        read(b"[" * 200_000)


def test_half_a_pair_is_written_as_an_escape():
    assert json.loads(write({"text": "\ud83d"})) == {"text": "\ud83d"}
    assert write({"text": "\ud83d"}).isascii()
