"""What a streamed answer has beside its declared fields is in the whole of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from support.thoroughness import often
from support.unknown_json import BLOCKS, FIELDS

from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.types import ChatCompletion


def wire(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any], choice: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    end = {"finish_reason": None, **(choice or {})}
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, **end}], **fields}


def assembled(*chunks: dict[str, Any]) -> ChatCompletion:
    reader = ChunkReader(SSEDecoder(1 << 20))
    reader.feed(wire(*chunks))
    assert (reader.failure, reader.error, reader.done) == (None, None, True)
    return reader.answer()


END = chunk({"content": ""}, {"finish_reason": "stop"})


@settings(max_examples=often(300))
@given(FIELDS, FIELDS, FIELDS, FIELDS, FIELDS)
def test_unknown_fields_of_a_chunk_reach_the_answer_where_they_stood(
    top: dict[str, Any], choice: dict[str, Any], delta: dict[str, Any], call: dict[str, Any], function: dict[str, Any]
):
    named = {"name": "f", "arguments": "{}", **function}
    calls = [{"index": 0, "id": "a", "type": "function", "function": named, **call}]
    answer = assembled(
        chunk({"role": "assistant", "content": "Hi"}),
        chunk({**delta, "tool_calls": calls}, choice, **top),
        END,
    )
    told = answer.to_dict()
    message = told["choices"][0]["message"]
    assert told.items() >= top.items() or {n: told[n] for n in top} == top
    assert {name: told["choices"][0][name] for name in choice} == choice
    assert {name: message[name] for name in delta} == delta
    assert {name: message["tool_calls"][0][name] for name in call} == call
    assert {name: message["tool_calls"][0]["function"][name] for name in function} == function
    assert message["content"] == "Hi"
    sent_back = answer.choices[0].message.to_request()
    assert {name: sent_back[name] for name in delta} == delta
    assert {name: sent_back["tool_calls"][0][name] for name in call} == call


@settings(max_examples=often(100))
@given(BLOCKS, BLOCKS)
def test_blocks_among_the_text_keep_their_places(first: dict[str, Any], second: dict[str, Any]):
    answer = assembled(
        chunk({"content": "It "}),
        chunk({"content": [first]}),
        chunk({"content": [{"type": "text", "text": "rains"}, second]}),
        chunk({"content": "."}),
        END,
    )
    message = answer.choices[0].message
    assert message.content == "It rains."
    assert message.to_request()["content"] == [
        {"type": "text", "text": "It "},
        first,
        {"type": "text", "text": "rains"},
        second,
        {"type": "text", "text": "."},
    ]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["Rain", " today"], "Rain today"),
        ([[1], [2]], [1, 2]),
        ([{"a": "x", "b": 1}, {"a": "y"}], {"a": "xy", "b": 1}),
        ([[{"index": 0, "text": "a"}], [{"index": 0, "text": "b"}, {"index": 1}]],
         [{"index": 0, "text": "ab"}, {"index": 1}]),
        (["x", None], "x"),
        ([1, 2], 2),
    ],
)  # fmt: skip
def test_an_unknown_field_that_comes_in_pieces_grows(pieces: list[Any], whole: Any):
    answer = assembled(*(chunk({"content": "a", "new": piece}) for piece in pieces), END)
    assert answer.choices[0].message.new == whole


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (["Z", "Z"], "Z"),
        ([["a"], ["a", "b"]], ["a", "b"]),
        ([["a"], ["b"]], ["a", "b"]),
        ([{"a": 1}, {"a": 2}], {"a": 2}),
    ],
)
def test_what_each_chunk_says_beside_its_deltas_is_told_once(said: list[Any], kept: Any):
    answer = assembled(*(chunk({"content": "a"}, provider=value) for value in said), END)
    assert answer.provider == kept
    assert answer.choices[0].message.content == "a" * len(said)


def test_unknown_counters_of_a_stream_are_in_all_that_is_told_of_it():
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "server_tool_use": {"web_search_requests": 3}}
    answer = assembled(chunk({"content": "Hi"}), {**END, "usage": usage})
    assert answer.usage is not None
    assert answer.usage.server_tool_use == {"web_search_requests": 3}
    assert answer.to_dict()["usage"]["server_tool_use"] == {"web_search_requests": 3}


def test_a_call_of_an_unknown_type_goes_back_as_it_came():
    call = {"index": 0, "id": "s1", "type": "deepseek_web_search", "input": {"query": "oslo"}}
    answer = assembled(chunk({"content": "Rain.", "tool_calls": [call]}), END)
    sent_back = answer.choices[0].message.to_request()["tool_calls"]
    assert [{name: made[name] for name in call} for made in sent_back] == [call]


def test_an_answer_of_unknown_blocks_alone_is_no_empty_one():
    reader = ChunkReader(SSEDecoder(1 << 20))
    reader.feed(wire(chunk({"content": [{"type": "canvas", "shapes": [1]}]}), END))
    assert reader.fault(progressed=True) is None


def test_a_spoilt_text_is_a_fault_also_beside_an_unknown_field():
    reader = ChunkReader(SSEDecoder(1 << 20))
    reader.feed(wire(chunk({"content": "?", "new": 1})).replace(b'"?"', b'"\xff"'))
    assert reader.failure is not None
