"""What is scrubbed leaves no trace, and everything else stays as it came."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.testing.scrubbing import Scrubber

KEY = "sk-Ab/+9_key=0123"

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["secret", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@st.composite
def cut(draw: Any, whole: bytes) -> list[bytes]:
    """``whole`` in pieces, none of them empty."""
    places = sorted(draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=6)))
    edges = [0, *(place for place in places if place < len(whole)), len(whole)]
    return [whole[a:b] for a, b in pairwise(edges) if a < b]


@given(st.binary(max_size=200), st.data())
def test_a_body_without_secrets_stays_as_it_came(body: bytes, data: st.DataObject):
    chunks = data.draw(cut(body))
    assert Scrubber(["nowhere"], [KEY]).chunks(list(chunks)) == chunks


@given(st.lists(values, min_size=1, max_size=4), st.data())
def test_named_fields_leave_every_event_wherever_it_was_cut(events: list[Any], data: st.DataObject):
    body = b"".join(b"data: " + json.dumps({"v": event}).encode() + b"\n\n: keep-alive\n\n" for event in events)
    scrubber = Scrubber(["secret"])
    scrubbed = scrubber.chunks(data.draw(cut(body)))
    lines = b"".join(scrubbed).split(b"\n\n: keep-alive\n\n")[:-1]
    assert [json.loads(line.removeprefix(b"data: ")) for line in lines] == [scrubber.value({"v": e}) for e in events]
    assert all(scrubbed)


@given(values)
def test_scrubbing_keeps_the_types_and_is_done_once(value: Any):
    scrubber = Scrubber(["secret"])
    scrubbed = scrubber.value(value)
    assert scrubber.value(scrubbed) == scrubbed
    assert type(scrubbed) is type(value)


@given(st.binary(max_size=20), st.binary(max_size=20), st.data())
def test_a_key_leaves_a_body_wherever_it_was_cut(before: bytes, behind: bytes, data: st.DataObject):
    chunks = data.draw(cut(before + KEY.encode() + behind))
    assert b"".join(Scrubber((), [KEY]).chunks(chunks)) == before + b"scrubbed" + behind


@given(st.text(max_size=9), st.text(max_size=9))
def test_a_key_in_base64_is_found_whatever_stands_around_it(before: str, behind: str):
    text = base64.b64encode((before + KEY + behind).encode()).decode()
    core = base64.b64encode(KEY.encode()[3:-3]).decode()[2:-6]
    scrubbed = Scrubber((), [KEY]).text(text)
    assert scrubbed != text
    assert core not in scrubbed


def test_arguments_that_are_json_are_scrubbed_inside():
    value = {"arguments": '{"secret": "x", "deep": [{"secret": 7}]}', "content": "{not json", "secret": None}
    arguments = '{"secret": "scrubbed", "deep": [{"secret": 0}]}'
    assert Scrubber(["secret"]).value(value) == {"arguments": arguments, "content": "{not json", "secret": None}


@pytest.mark.parametrize("short", ["test", "none", ""])
def test_a_key_that_is_an_ordinary_word_is_no_secret(short: str):
    assert Scrubber((), [short]).text("a test of none") == "a test of none"
