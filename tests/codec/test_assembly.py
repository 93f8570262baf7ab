"""Chunks to the completion they make up, however the model's text was cut into them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.servers import DONE, OPENING, USAGE, chunk, ending, event, said

from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.status_errors import status_error_in_stream
from deepseek_async.codec.text_buffer import MOST_APART, Pieces
from deepseek_async.errors import APIStatusError
from deepseek_async.types import ChatCompletion


def read(*pieces: bytes) -> ChunkReader:
    reader = ChunkReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def assembled(*deltas: dict, finish_reason: str = "stop") -> ChatCompletion:
    return read(*(event(chunk(delta)) for delta in deltas), ending(finish_reason), DONE).assembly.completion()


def call_delta(index: int, arguments: str | None = None, **fields: str) -> dict:
    function = {"name": fields.pop("name")} if "name" in fields else {}
    if arguments is not None:
        function["arguments"] = arguments
    return {"tool_calls": [{"index": index, **fields, "function": function}]}


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


PLACES = st.lists(st.integers(0, 1000), max_size=6)


@given(st.text(), st.text(), PLACES, PLACES)
def test_text_and_reasoning_join_to_what_was_cut(content: str, reasoning: str, some: list[int], others: list[int]):
    deltas = [{"content": None, "reasoning_content": piece} for piece in cut(reasoning, some)]
    deltas += [{"content": piece, "reasoning_content": None} for piece in cut(content, others)]
    message = assembled({"role": "assistant", "content": None, "reasoning_content": ""}, *deltas).choices[0].message
    assert (message.role, message.content, message.reasoning_content) == ("assistant", content, reasoning)


ARGUMENTS = st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3).map(json.dumps)


@given(st.lists(st.tuples(ARGUMENTS, PLACES), min_size=1, max_size=3), st.randoms())
def test_fragments_of_parallel_tool_calls_join_by_index(calls: list, chance):
    waiting = [
        [
            call_delta(index, "", id=f"call_0{index}_x", type="function", name=f"f{index}"),
            *(call_delta(index, piece) for piece in cut(arguments, places)),
        ]
        for index, (arguments, places) in enumerate(calls)
    ]
    deltas = []
    while any(waiting):
        deltas.append(chance.choice([fragments for fragments in waiting if fragments]).pop(0))
    found = assembled(*deltas, finish_reason="tool_calls").choices[0].message.tool_calls
    assert found is not None
    assert [(call.index, call.id, call.type, call.function.name, call.function.arguments) for call in found] == [
        (index, f"call_0{index}_x", "function", f"f{index}", arguments) for index, (arguments, _) in enumerate(calls)
    ]


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.integers(0, 10_000), max_size=6))
def test_bytes_split_anywhere_give_the_same_completion(texts: list[str], places: list[int]):
    stream = OPENING + b": keep-alive\n\n" + b"".join(map(said, texts)) + ending() + DONE
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    reader = read(*(stream[start:end] for start, end in pairwise(edges)))
    assert reader.done
    assert reader.failure is None
    assert reader.assembly.completion() == read(stream).assembly.completion()
    assert reader.assembly.completion().choices[0].message.content == "".join(texts)


def test_a_plain_answer_has_no_reasoning_and_no_calls():
    message = assembled({"role": "assistant", "content": ""}, {"content": "x"}).choices[0].message
    assert message.reasoning_content is None
    assert message.tool_calls is None


def test_the_latest_usage_is_kept_from_the_last_chunk_or_one_after_it():
    trailing = event({**chunk(), "choices": [], "usage": {**USAGE, "total_tokens": 99}})
    for stream, total in ((ending() + DONE, 15), (ending() + trailing + DONE, 99)):
        usage = read(OPENING, stream).assembly.usage
        assert usage is not None
        assert usage.total_tokens == total


def test_a_null_usage_does_not_overwrite_one():
    assert read(ending(), event(chunk({"content": ""}, usage=None))).assembly.usage is not None


def test_head_fields_come_from_the_first_chunk():
    done = assembled({"content": "x"})
    assert (done.id, done.model, done.created, done.system_fingerprint) == ("5f0c", "deepseek-flash", 1, "fp_1")
    assert done.object == "chat.completion"


def test_logprobs_of_answer_and_reasoning_are_joined():
    def scored(kind: str, token: str) -> bytes:
        piece = chunk({kind: token})
        piece["choices"][0]["logprobs"] = {kind: [{"token": token, "logprob": -1.0, "top_logprobs": []}]}
        return event(piece)

    reader = read(scored("reasoning_content", "hm"), scored("content", "a"), scored("content", "b"), ending())
    logprobs = reader.assembly.completion().choices[0].logprobs
    assert logprobs is not None
    assert [token.token for token in logprobs.content or []] == ["a", "b"]
    assert [token.token for token in logprobs.reasoning_content or []] == ["hm"]


def test_only_content_reasoning_and_tool_calls_are_progress():
    reader = ChunkReader()
    fed = {
        OPENING: False,
        b": keep-alive\n\n": False,
        event(chunk({"content": None, "reasoning_content": ""})): False,
        event(chunk({"reasoning_content": "hm"})): True,
        said("x"): True,
        event(chunk(call_delta(0, "", id="a", name="f"))): True,
        ending(): False,
        DONE: False,
    }
    for piece, progress in fed.items():
        reader.feed(piece)
        assert reader.progressed is progress


def test_null_fields_missing_fields_and_numbers_as_text_are_read():
    odd = [
        '{"choices": [{"delta": null, "index": null}]}',
        '{"choices": [{}]}',
        '{"choices": null, "usage": null}',
        '{"choices": [{"delta": {"content": "x", "tool_calls": null}}], "created": "12"}',
        "{}",
    ]
    reader = read(*map(event, odd), ending(), DONE)
    assert reader.failure is None
    assert reader.assembly.completion().choices[0].message.content == "x"


def test_two_halves_of_an_emoji_in_two_chunks_are_one():
    reader = read(
        event('{"choices":[{"delta":{"content":"\\ud83d"}}]}'), event('{"choices":[{"delta":{"content":"\\ude00"}}]}')
    )
    completion = reader.assembly.completion()
    assert completion.choices[0].message.content == "\U0001f600"
    assert json.loads(completion.encoded())["choices"][0]["message"]["content"] == "😀"


def test_a_fault_leaves_the_chunks_before_it():
    reader = ChunkReader()
    chunks = reader.feed(said("a") + said("b") + b"data: {nonsense\n\n" + said("c"))
    assert [piece.choices[0].delta.content for piece in chunks] == ["a", "b"]
    assert reader.failure is not None
    assert len(str(reader.failure)) < 500


def test_an_error_event_is_found_whatever_stands_beside_it():
    for text in ('{"error": {"message": "x", "code": 503}}', '{"id": "1", "choices": [], "error": "\\ud83d"}'):
        reader = read(event(text))
        assert isinstance(status_error_in_stream(reader.error, {}, now=0), APIStatusError)


def test_what_follows_done_is_not_read():
    reader = read(said("a") + b"data:  [DONE] \n\n" + said("b"))
    assert reader.done
    assert reader.assembly.completion().choices[0].message.content == "a"


TWO = [("call_a", "read", '{"path":"a"}'), ("call_b", "write", '{"path":"b"}')]


def fragment(index: int | None, **fields: str) -> dict:
    function = {name: fields[name] for name in ("name", "arguments") if name in fields}
    delta = {"function": function} | ({} if index is None else {"index": index})
    return {"tool_calls": [delta | ({"id": fields["id"]} if "id" in fields else {})]}


@pytest.mark.parametrize(
    "fragments",
    [
        [
            fragment(0, id="call_a", name="read", arguments='{"path":'),
            fragment(0, arguments='"a"}'),
            fragment(0, id="call_b", name="write", arguments='{"path":"b"}'),
        ],
        [
            fragment(0, id="call_a", name="read", arguments='{"path":"a"}'),
            fragment(0, id="call_b", name="write", arguments=""),
            fragment(1, arguments='{"path":'),
            fragment(1, arguments='"b"}'),
        ],
        [
            fragment(None, id="call_a", name="read", arguments='{"path":"a"}'),
            fragment(None, id="call_b", name="write", arguments='{"path":'),
            fragment(None, arguments='"b"}'),
        ],
        [
            fragment(0, id="call_a", name="read", arguments='{"path":'),
            fragment(0, id="", name="", arguments='"a"}'),
            fragment(1, id="call_b", name="write", arguments='{"path"'),
            fragment(1, id="", name="", arguments=':"b"}'),
        ],
        [
            fragment(0, id="call_a", name="read", arguments='{"path":'),
            fragment(0, id="call_a", name="read", arguments='"a"}'),
            fragment(1, id="call_b", name="write", arguments='{"path"'),
            fragment(1, id="call_b", name="write", arguments=':"b"}'),
        ],
        [
            fragment(0, id="call_a", name="re"),
            fragment(0, name="ad", arguments='{"path":"a"}'),
            fragment(1, id="call_b", name="write", arguments='{"path":"b"}'),
        ],
        [
            fragment(0, id="call_a", name="read", arguments='{"path":'),
            fragment(None, id="call_a", arguments='"a"}'),
            fragment(1, id="call_b", name="write", arguments='{"path":'),
            fragment(None, id="call_b", arguments='"b"}'),
        ],
        [
            fragment(0, name="read", arguments='{"path":"a"}'),
            fragment(0, id="call_a"),
            fragment(1, name="write"),
            fragment(1, id="call_b", arguments='{"path":"b"}'),
        ],
        [
            fragment(0, id="call_a", name="read"),
            fragment(0, id="call_1", arguments='{"path":'),
            fragment(0, id="call_2", name="", arguments='"a"}'),
            fragment(0, id="call_b", name="write"),
            fragment(0, id="call_3", arguments='{"path":"b"}'),
        ],
    ],
    ids=[
        *("one index", "two indexes", "no index", "empty ids", "repeated names", "cut names", "ids only", "late ids"),
        "an id for each fragment",
    ],
)
def test_fragments_of_calls_are_told_apart_however_a_gateway_counts_them(fragments: list[dict]):
    calls = assembled(*fragments, finish_reason="tool_calls").choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == TWO
    assert [call.index for call in calls] == [0, 1]


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("name", ["read", "write"])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_call_begins_where_a_name_follows_whole_arguments_without_any_id(index: int | None, name: str, at_once: bool):
    fragments = [fragment(index, id="", name=name, arguments=f'{{"path":"}}{{{at}"}}') for at in range(40)]
    if at_once:
        fragments = [{"tool_calls": [call for one in fragments for call in one["tool_calls"]]}]
    reader = ChunkReader()
    chunks = reader.feed(b"".join(event(chunk(delta)) for delta in fragments))
    calls = reader.answer().choices[0].message.tool_calls or []
    assert [json.loads(call.function.arguments)["path"] for call in calls] == [f"}}{{{at}" for at in range(40)]
    assert {call.function.name for call in calls} == {name}
    in_pieces = [call.index for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert in_pieces == [call.index for call in calls] == list(range(40))


def test_braces_inside_arguments_whose_name_is_repeated_begin_no_call():
    pieces = ['{"code":"', *["{}"] * 3_000, '"', ',"more":', "{}", "}"]
    calls = assembled(*(fragment(0, name="run", arguments=piece) for piece in pieces)).choices[0].message.tool_calls
    assert [call.function.arguments for call in calls or []] == ["".join(pieces)]


def test_calls_of_one_id_under_two_indexes_stay_two():
    calls = (
        assembled(
            fragment(0, id="call", name="read", arguments="{}"), fragment(1, id="call", name="write", arguments="{}")
        )
        .choices[0]
        .message.tool_calls
    )
    assert [call.function.name for call in calls or []] == ["read", "write"]


IN_SMALL_PIECES = {
    "content": lambda piece: {"content": piece},
    "reasoning": lambda piece: {"reasoning_content": piece},
    "a refusal": lambda piece: {"refusal": piece},
    "arguments": lambda piece: {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]},
    "a name": lambda piece: {"tool_calls": [{"index": 0, "function": {"name": piece}}]},
    "the older form of a call": lambda piece: {"function_call": {"arguments": piece}},
}


def texts_in(part: object) -> Iterator[Pieces]:
    """The texts that are kept in pieces, wherever they are."""
    if isinstance(part, Pieces):
        yield part
    elif isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from texts_in(getattr(part, name))
    elif isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from texts_in(inner)


@pytest.mark.parametrize("kind", IN_SMALL_PIECES)
def test_a_long_text_in_small_pieces_is_joined_once_and_not_again_with_each_of_them(kind: str):
    pieces = [f"<{number}>" for number in range(5_000)]
    reader = read(*(event(chunk(IN_SMALL_PIECES[kind](piece))) for piece in pieces))
    kept = list({id(text): text for text in texts_in(reader.assembly) if text}.values())
    assert [text.text for text in kept] == ["".join(pieces)]
    assert [text.size for text in kept] == [len("".join(pieces))]
    # What was joined is at most what came since the joining before: no character is copied twice.
    most = (MOST_APART + 1) * len("<4999>")
    assert all(len(earlier) <= most for earlier in kept[0].earlier)
    assert len(kept[0].latest) <= MOST_APART


def test_many_calls_under_one_index_are_told_apart_by_their_ids():
    heads = [call_delta(0, '{"a":', id=f"call_{number}", name="f") for number in range(500)]
    tails = [call_delta(0, f"{number}}}", id=f"call_{number}") for number in reversed(range(500))]
    calls = assembled(*heads, *tails, finish_reason="tool_calls").choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.arguments for call in calls] == [f'{{"a":{number}}}' for number in range(500)]
    assert [call.index for call in calls] == list(range(500))
