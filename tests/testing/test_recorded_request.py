"""Two requests are the same if their method, path and JSON are, and otherwise differ first somewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.testing.cassette import Cassette, Exchange
from deepseek_async.testing.recorded_request import RecordedRequest, first_difference, likeness, request_of
from deepseek_async.testing.scrubbing import Scrubber

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def asked(body: Any, path: str = "/x") -> RecordedRequest:
    return RecordedRequest("POST", path, "json", body)


@given(values, values)
def test_requests_differ_somewhere_exactly_if_they_are_not_the_same(one: Any, other: Any):
    assert (first_difference(asked(one), asked(other)) is None) == (asked(one).key == asked(other).key)


@given(values)
def test_nothing_is_more_alike_than_the_same(body: Any):
    assert likeness(asked(body), asked(body)) >= likeness(asked(body), asked(["other", body]))


def test_the_order_of_members_and_the_spaces_between_them_say_nothing():
    one = request_of("POST", "/x", b'{"a": 1, "b": [true]}', Scrubber())
    other = request_of("POST", "/x", b'{"b":[true],"a":1}', Scrubber())
    assert one.key == other.key


@pytest.mark.parametrize(
    ("recorded", "said", "difference"),
    [
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "y"}]}, 'a[1].b: recorded "x", asked "y"'),
        ({"a": 1}, {"a": 1, "n": 2}, "n: recorded nothing, asked 2"),
        ({"a": 1, "n": None}, {"a": 1}, "n: recorded null, asked nothing"),
        ({"a": [1, 2]}, {"a": [1]}, "a: recorded 2 items, asked 1"),
        ({"a": True}, {"a": 1}, "a: recorded true, asked 1"),
        (
            {"a": "The same beginning of a long text, and then one thing" + "." * 50},
            {"a": "The same beginning of a long text, and then another" + "." * 50},
            'a: recorded "…t, and then one thing…", asked "…t, and then another…"',
        ),
    ],
)
def test_the_first_difference_is_told(recorded: Any, said: Any, difference: str):
    told = str(first_difference(asked(recorded), asked(said)))
    assert told.replace(".", "") == difference.replace(".", "")


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), values, st.sampled_from(["whole", "left", "broken"]))
def test_what_is_written_is_read(tmp_path_factory: Any, chunks: list[bytes], body: Any, ending: Any):
    path: Path = tmp_path_factory.mktemp("tape") / "tape.jsonl"
    exchange = Exchange("http://127.0.0.1", asked(body), 200, {"x-a": "é\x85"}, chunks, ending)
    for _ in range(2):
        Cassette(path).append(exchange)
    (one, two) = Cassette(path).read()
    assert (one.line, two.line) == (2, 3)
    one.line = 0
    assert one == exchange
    assert len(path.read_bytes().split(b"\n")) == 4


@pytest.mark.parametrize("text", ["a\u2028b\u0085c", json.loads('"\\ud83d"')])
def test_odd_characters_break_no_line(tmp_path: Path, text: str):
    path = tmp_path / "tape.jsonl"
    Cassette(path).append(Exchange("http://127.0.0.1", asked({"a": text}), 200, {}, [b"\r\n"]))
    assert Cassette(path).read()[0].request == asked({"a": text})
