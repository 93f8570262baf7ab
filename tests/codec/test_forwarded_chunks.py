"""The reader of streams that are passed on as bytes finds what the decoding one finds, however they are split."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.forwarded_chunks import ForwardedReader
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.relay.streamed import chat_events

HEAD = b'{"id":"a","created":1,"model":"m","choices":[{"index":0,"delta":{'
TAIL = b'},"logprobs":null,"finish_reason":null}]}'


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def text(written: bytes, name: bytes = b"content") -> bytes:
    """An event with a text as it is written in JSON."""
    return event(HEAD + b'"%b":"%b"' % (name, written) + TAIL)


OPENING = event(HEAD + b'"role":"assistant","content":""' + TAIL)
STOP = event(HEAD + TAIL.replace(b"null}]", b'"stop"}]'))
USAGE = event(b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}')
DONE = event(b"[DONE]")
ERROR = event(b'{"error":{"message":"overloaded","type":"server_error"}}')
CALL = b'"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]'

LOGPROBS = b'{"content":[{"token":"b","logprob":0.5}]}'

# Texts as they are written in JSON, some of which are none, or end it.
WRITTEN = st.sampled_from(
    [
        *(
            b"Hello",
            b" a",
            b"",
            b"1",
            b"\\n",
            b'\\"',
            b"\\\\",
            b"\\",
            b"\\u00e4",
            b"\\ud83d",
            b"\xff",
            b"\x01",
            b"\t",
            b"[",
            b"]",
        ),
        *(
            b'\\","',
            b'","',
            b',"',
            b'"',
            b'a","b',
            b'x",1,"y',
            b'"},"logprobs":null',
            b'","usage":{"prompt_tokens":1},"x":"',
        ),
        *(said.encode() for said in ("ä", "\u2028", "😀", "data: x")),
    ]
)
OTHERS = st.sampled_from(
    [
        *(OPENING, STOP, USAGE, DONE, ERROR, b": keep-alive\n\n", b"\n", b"\r\n", b"event: x\n", b"data: {\n\n"),
        event(b"null"),
        event(HEAD + CALL + TAIL),
        event(HEAD + b'"content":"a","new":1' + TAIL),
        event(HEAD + b'"content":5' + TAIL),
        event(HEAD + b'"content":"b"' + TAIL.replace(b"null", LOGPROBS, 1)),
        event(HEAD + b'"content":"c","content":"d"' + TAIL),
        event(HEAD.replace(b":0,", b":1,") + b'"content":"e"' + TAIL),
        event((HEAD + b'"content": "spaced"' + TAIL).replace(b":", b": ")),
        text(b"f").replace(b"\n\n", b"\r\n\r\n"),
    ]
)
EVENTS = st.one_of(
    WRITTEN.map(text), WRITTEN.map(text), WRITTEN.map(lambda said: text(said, b"reasoning_content")), OTHERS
)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges) if end > start]


def found(reader: ChunkReader, blocks: list[bytes]) -> list[Any]:
    """What was told at each block, and at last what was passed on and assembled."""
    told, passed = [], []
    for block in blocks:
        passed.append(chat_events(reader.feed(block)))
        failure = None if reader.failure is None else (type(reader.failure), str(reader.failure))
        told.append((reader.progressed, reader.halted, reader.done, reader.error, failure, reader.whole, reader.size))
        if reader.halted:
            break
    return [told, b"".join(passed), reader.answer().to_dict(), reader.usage, reader.model, dict(reader.notes)]


@given(st.lists(EVENTS, max_size=12), CUTS)
@example([text(b"a"), text(b"b"), text(b'c","d'), text(b"e"), STOP, USAGE, DONE], [])
@example([text(b"a"), text(b"\\"), text(b',"')], [len(OPENING + text(b"a"))])
@example([text(b"a"), text(b"b"), text(b"c"), STOP, ERROR, text(b"d")], [100, 300])
def test_usage_end_errors_and_texts_are_found_however_the_bytes_are_split(events: list[bytes], cuts: list[int]):
    blocks = split(OPENING + b"".join(events), cuts)

    assert found(ForwardedReader(SSEDecoder()), blocks) == found(ChunkReader(SSEDecoder()), blocks)


@pytest.mark.parametrize("name", [b"content", b"reasoning_content"])
def test_events_that_carry_only_text_are_passed_on_as_they_came(name: bytes):
    reader = ForwardedReader(SSEDecoder())
    reader.feed(OPENING + text(b"first", name))
    block = text(b"a", name) + text(b'\\"b\\"', name) + text("ä".encode(), name)

    assert reader.feed(block) == [block]
    (choice,) = reader.answer().choices
    assert (choice.message.content or choice.message.reasoning_content) == 'firsta"b"ä'


def test_the_events_around_a_split_one_are_passed_on_as_they_came():
    reader = ForwardedReader(SSEDecoder())
    reader.feed(OPENING + text(b"a"))
    block = text(b"b") + text(b"c") + text(b"d")

    came = [reader.feed(piece) for piece in (block[:-50], block[-50:] + text(b"e") + STOP)]

    assert [[type(each) is bytes for each in some] for some in came] == [[True], [False, True, False]]
    assert b"".join(map(chat_events, came)) == block + text(b"e") + STOP
    assert reader.answer().choices[0].message.content == "abcde"


def test_a_stream_whose_events_are_all_different_is_decoded_and_no_longer_compared():
    reader = ForwardedReader(SSEDecoder())
    for number in range(60):
        (chunk,) = reader.feed(text(b"a").replace(b'"a"', b'"%d"' % number, 1))
        assert type(chunk) is not bytes
    assert json.dumps(reader.answer().to_dict())
    assert reader._tries == 0
