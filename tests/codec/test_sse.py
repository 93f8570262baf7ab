"""The event decoder against a slow reference, and one case for each rule of the standard."""

from __future__ import annotations

import re
from itertools import pairwise
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepseek_async.codec.sse import ServerSentEvent, SSEDecoder
from deepseek_async.errors import APIResponseValidationError


def reference(stream: bytes) -> list[tuple[bytes, str, str]]:
    """WHATWG HTML, 9.2.6 "Interpreting an event stream", sentence by sentence, on the whole stream at once."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    *lines, _unfinished = re.split(b"\r\n|\n|\r", stream)
    events: list[tuple[bytes, str, str]] = []
    data, kind, last_id = b"", "", ""
    for line in lines:
        if line == b"":
            if data != b"":
                events.append((data[:-1], kind or "message", last_id))
            data, kind = b"", ""
        elif line.startswith(b":"):
            pass
        else:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                kind = value.decode("utf-8", "replace")
            elif field == b"data":
                data += value + b"\n"
            elif field == b"id" and b"\0" not in value:
                last_id = value.decode("utf-8", "replace")
    return events


def decode(*pieces: bytes) -> list[tuple[bytes, str, str]]:
    decoder = SSEDecoder()
    return [(event.data, event.event, event.id) for piece in pieces for event in decoder.feed(piece)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


WORDS = st.sampled_from(
    [b"", b" ", b"  x", b"{}", b"a:b", b":", b"\0", b"\xff", b"\xef\xbb\xbf", b"[DONE]", b"data: x", b"12"]
    + [text.encode() for text in ("ä", "\u2028", "\u2029", "\u0085", "😀", "\x0b\x0c\x1c")],
)
FIELDS = st.sampled_from(
    [b"data", b"data:", b"data: ", b"event:", b"id:", b"retry: ", b":", b"odd:", b"dat", b" data:"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b"\n\n\n"])
LINES = st.builds(lambda *parts: b"".join(parts), FIELDS, WORDS, ENDS)
PLAIN = st.builds(lambda word: b"data: " + word + b"\n\n", WORDS)
STREAMS = st.builds(
    lambda mark, parts, rest: mark + b"".join(parts) + rest,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\n", b"\xef\xbb\xbf\xef\xbb\xbf"]),
    st.lists(st.one_of(LINES, PLAIN, ENDS), max_size=12),
    st.sampled_from([b"", b"data: cut", b"\r", b"data: x\n"]),
)


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=8))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [9, 10])
@example(b"data: a\n\n\ndata: b\n\n", [])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_any_stream_split_anywhere_gives_the_events_of_the_reference(stream: bytes, places: list[int]):
    assert decode(*cut(stream, places)) == reference(stream)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_arbitrary_bytes_give_the_events_of_the_reference(stream: bytes, places: list[int]):
    assert decode(*cut(stream, places)) == reference(stream)


@given(STREAMS)
def test_a_stream_byte_by_byte_gives_the_same_events(stream: bytes):
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == reference(stream)


DEEPSEEK = 'data: {"content":"Grüße"}\n\n: keep-alive\n\ndata: {"content":"😀"}\n\ndata: [DONE]\n\n'.encode()


@pytest.mark.parametrize("place", range(len(DEEPSEEK) + 1))
def test_deepseeks_own_form_may_be_split_at_every_byte(place: int):
    found = [data for data, _, _ in decode(DEEPSEEK[:place], DEEPSEEK[place:])]
    assert found == ['{"content":"Grüße"}'.encode(), '{"content":"😀"}'.encode(), b"[DONE]"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_only_line_feed_and_carriage_return_end_a_line(separator: str):
    data = f'{{"a":"x{separator}y"}}'.encode()
    assert decode(b"data: " + data + b"\n\n") == [(data, "message", "")]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\ndata: two\n\n", [(b"one\ntwo", "message", "")]),
        (b"data:no space\n\n", [(b"no space", "message", "")]),
        (b"data:  two spaces\n\n", [(b" two spaces", "message", "")]),
        (b"data\n\n", [(b"", "message", "")]),
        (b"data\ndata\n\n", [(b"\n", "message", "")]),
        (b"event: error\ndata: x\n\n", [(b"x", "error", "")]),
        (b"event: error\n\ndata: x\n\n", [(b"x", "message", "")]),
        (b"id: 7\ndata: x\n\ndata: y\n\n", [(b"x", "message", "7"), (b"y", "message", "7")]),
        (b"id: 7\ndata: x\n\nid\ndata: y\n\n", [(b"x", "message", "7"), (b"y", "message", "")]),
        (b"id: a\0b\ndata: x\n\n", [(b"x", "message", "")]),
        (b"odd: field\nDATA: x\n\n", []),
        (b"data: never ended\n", []),
        (b": comment\n\n: another\n\n", []),
    ],
)
def test_each_rule_of_the_standard(stream: bytes, events: list):
    assert decode(stream) == events


def test_events_that_arrive_together_come_together():
    assert [event.data for event in SSEDecoder().feed(b"data: 1\n\ndata: 2\n\ndata: 3")] == [b"1", b"2"]


def test_an_event_is_given_as_soon_as_it_is_complete_though_its_line_feed_is_still_to_come():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: x\r\n\r") == [ServerSentEvent(b"x")]
    assert decoder.feed(b"\ndata: y\r\n\r\n") == [ServerSentEvent(b"y")]


def test_comments_are_counted_and_a_reconnection_time_is_kept():
    decoder = SSEDecoder()
    decoder.feed(b": keep-alive\n\n:\n\nretry: 3000\nretry: soon\nretry: -1\n\n")
    assert (decoder.comments, decoder.retry) == (2, 3000)
    decoder.feed(b"retry: " + b"9" * 10_000 + b"\n")


def test_a_decoder_knows_whether_it_holds_an_unfinished_event():
    decoder = SSEDecoder()
    assert not decoder.mid_event
    decoder.feed(b"data: x\n")
    assert decoder.mid_event
    decoder.feed(b"\n")
    assert not decoder.mid_event
    decoder.feed(b"dat")
    assert decoder.mid_event


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"data: " + b"x" * 2000], id="one piece"),
        pytest.param([b"data: " + b"x" * 2000 + b"\n\n"], id="one piece, ended"),
        pytest.param([b"data: ", *[b"x" * 10] * 200], id="many pieces"),
        pytest.param([b"data: xxxxxxxxx\n"] * 200, id="many lines"),
        pytest.param([b": " + b"x" * 10, *[b"x" * 10] * 200], id="a comment"),
        pytest.param([b"data: " + b"x" * 600 + b"\n", b"data: " + b"x" * 600], id="line and piece"),
    ],
)
def test_an_event_past_the_limit_is_refused(pieces: list[bytes]):
    decoder = SSEDecoder(max_event_bytes=1000)
    with pytest.raises(APIResponseValidationError, match="1,000 bytes") as caught:
        list(map(decoder.feed, pieces))
    assert not caught.value.retryable


def test_the_limit_is_for_one_event_and_not_for_all_together():
    decoder = SSEDecoder(max_event_bytes=1000)
    for _ in range(10):
        assert len(decoder.feed((b"data: " + b"x" * 500 + b"\n\n") * 4)) == 4
        assert len(decoder.feed(b"data: " + b"x" * 500 + b"\r\n\r\n")) == 1
        assert decoder.feed(b": " + b"x" * 500 + b"\n") == []


def test_a_long_event_in_small_pieces_costs_linear_work():
    """Bytes that are split into lines are counted: each byte may pass there once or twice, not once for each piece."""
    pieces = [b"data: ", *[b"x" * 100] * 2000, b"\n", b"\n"]
    passed = 0
    original = SSEDecoder._read_lines

    def counting(self: SSEDecoder, block: bytes) -> list:
        nonlocal passed
        passed += len(block)
        return original(self, block)

    decoder = SSEDecoder()
    with mock.patch.object(SSEDecoder, "_read_lines", counting):
        events = [event for piece in pieces for event in decoder.feed(piece)]
    assert len(events) == 1
    assert len(events[0].data) == 200_000
    assert passed < 2 * 200_100


LINES = [b"data: a\n\n", b"data: b\n", b"event: x\n", b"event: x\ndata: c\n\n", b"\n", b"id: 1\n", b": k\n\n"]
ODD_LINES = [b"data: d\r\n\r\n", b"data:e\n\n", b"event: y\ndata: f\n", b"dat", b"a: g\n\n"]


@given(st.lists(st.sampled_from([*LINES, *ODD_LINES]), max_size=12))
@example([b"data: a\n\n", b"event: y\ndata: f\n", b"data: a\n\n"])
def test_events_are_the_same_however_their_lines_come(pieces: list[bytes]):
    slow, quick = SSEDecoder(), SSEDecoder()
    one_by_one = [event.data for byte in b"".join(pieces) for event in slow.feed(bytes([byte]))]
    assert [data for piece in pieces for data in quick.feed_data(piece)] == one_by_one
