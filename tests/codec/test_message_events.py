"""Messages: what nobody knows survives a whole round trip, and events make up the message that a plain answer has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.cache import replay
from deepseek_async.codec.messages import MessageReader, decode_message, fault_of_message
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.errors import APIError, APIResponseValidationError, StreamInterruptedError
from deepseek_async.types import CompletionUsage, ContentBlock, TextBlock, ThinkingBlock, ToolUseBlock
from deepseek_async.types.json_text import read, write

NAMES = st.text("abcdefgh_", min_size=1, max_size=6).map("x_".__add__)
"""Of fields and of kinds that nobody declared."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
FURTHER = st.dictionaries(NAMES, VALUES, max_size=2)
TEXTS = st.text(min_size=1, max_size=6)
_DELTA = "content_block_delta"


def having(further: st.SearchStrategy[dict[str, Any]] = FURTHER, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these fields, each a value or a strategy, and with others that nobody knows."""
    known = {name: item if isinstance(item, st.SearchStrategy) else st.just(item) for name, item in fields.items()}
    return st.builds(lambda unknown, sent: {**unknown, **sent}, further, st.fixed_dictionaries(known))


BLOCKS = st.one_of(
    having(type="text", text=TEXTS, citations=st.none() | st.lists(FURTHER, max_size=2)),
    having(type="thinking", thinking=TEXTS, signature=TEXTS),
    having(type="redacted_thinking", data=TEXTS),
    having(type="tool_use", id=TEXTS, name=TEXTS, input=FURTHER),
    having(type="server_tool_use", id=TEXTS, name=TEXTS, input=FURTHER),
    having(type="web_search_tool_result", tool_use_id=TEXTS, content=st.lists(FURTHER, max_size=2) | FURTHER),
    having(type=NAMES),
)
USAGE = having(
    input_tokens=st.integers(0, 10**6),
    cache_read_input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
)
MESSAGES = having(
    id=TEXTS,
    type="message",
    role="assistant",
    model=TEXTS,
    content=st.lists(BLOCKS, min_size=1, max_size=4),
    stop_reason=st.sampled_from(["end_turn", "max_tokens", "refusal", "pause_turn"]) | NAMES,
    stop_sequence=st.none() | TEXTS,
    usage=USAGE,
)
UNKNOWN_EVENTS = having(type=NAMES)


def event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(data.get("type")).encode(), write(data))


@given(MESSAGES)
def test_a_plain_message_gives_back_all_that_came(sent: dict[str, Any]):
    message = decode_message(write(sent))
    assert message.to_dict() == sent
    assert [block.to_dict() for block in message.content] == sent["content"]
    for block, came in zip(message.content, sent["content"], strict=True):
        assert block.type == came["type"]
        for name, value in came.items():
            assert getattr(block, name) == value
    for name in sent.keys() - {"content", "usage"}:
        assert getattr(message, name) == sent[name]
    assert message.repaired == ()


@given(MESSAGES)
def test_the_content_of_an_answer_goes_back_as_it_came(sent: dict[str, Any]):
    message = decode_message(write(sent))
    turn = {"role": "assistant", "content": message.content}
    turns = read(encode_request({"model": "m", "messages": [turn, message]}))["messages"]
    assert turns == [{"role": "assistant", "content": sent["content"]}] * 2


@given(MESSAGES)
def test_a_stored_message_streamed_is_the_same_message(sent: dict[str, Any]):
    reader = MessageReader()
    reader.feed(replay(write(sent)))
    assert reader.whole
    assert reader.answer().to_dict() == sent


@given(MESSAGES, st.lists(UNKNOWN_EVENTS, min_size=1, max_size=3), st.data())
def test_events_that_nobody_knows_are_handed_out_and_change_nothing(sent: dict[str, Any], odd: list, data: Any):
    events = list(SSEDecoder().feed_data(replay(write(sent))))
    for one in odd:
        events.insert(data.draw(st.integers(0, len(events) - 1)), write(one))
    reader = MessageReader()
    came = [each for one in events for each in reader.feed(event(read(one)))]
    assert [each.to_dict() for each in came] == [read(one) for one in events]
    assert reader.failure is None
    assert reader.answer().to_dict() == sent


@given(MESSAGES, FURTHER, st.data())
def test_fields_that_nobody_knows_stay_with_the_events(sent: dict[str, Any], further: dict[str, Any], data: Any):
    events = [read(one) for one in SSEDecoder().feed_data(replay(write(sent)))]
    place = data.draw(st.integers(0, len(events) - 1))
    events[place] = {**further, **events[place]}
    if "delta" in events[place]:
        events[place]["delta"] = {**further, **events[place]["delta"]}
    reader = MessageReader()
    came = [each for one in events for each in reader.feed(event(one))]
    assert [each.to_dict() for each in came] == events
    for name, value in further.items():
        assert getattr(came[place], name) == value
        if "delta" in events[place]:
            assert getattr(came[place].delta, name) == value
    assert reader.whole


@given(NAMES, NAMES, st.lists(TEXTS, min_size=1, max_size=4), FURTHER)
def test_deltas_that_nobody_knows_come_to_their_block(kind: str, field: str, pieces: list[str], rest: dict[str, Any]):
    begun = {**rest, "type": "text", "text": "a", field: ""}
    deltas = [{"type": kind, field: piece} for piece in pieces]
    whole = {**begun, field: "".join(pieces)}
    _, block = assembled(begun, deltas)
    assert block.to_dict() == whole
    assert block.text == "a"


def assembled(block: dict[str, Any], deltas: list[dict[str, Any]]) -> tuple[MessageReader, Any]:
    reader = MessageReader()
    reader.feed(event({"type": "message_start", "message": {"id": "m", "type": "message", "content": []}}))
    reader.feed(event({"type": "content_block_start", "index": 0, "content_block": block}))
    for delta in deltas:
        reader.feed(event({"type": "content_block_delta", "index": 0, "delta": delta}))
    return reader, reader.answer().content[0]


def test_a_delta_that_nobody_knows_does_not_write_into_the_text():
    _, block = assembled(
        {"type": "text", "text": ""}, [{"type": "text_delta", "text": "a"}, {"type": "x", "text": "b"}]
    )
    assert block.text == "a"


def test_citations_are_gathered():
    cited = [{"type": "web_search_result_location", "url": f"https://example.org/{n}"} for n in range(2)]
    deltas = [{"type": "citations_delta", "citation": one} for one in cited]
    _, block = assembled({"type": "text", "text": "Rain.", "citations": None}, deltas)
    assert (block.citations, block.text) == (cited, "Rain.")


def test_an_input_that_is_cut_off_is_left_as_the_text_that_came():
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    reader, block = assembled(call, [{"type": "input_json_delta", "partial_json": '{"a": 1, "b'}])
    assert block.input == '{"a": 1, "b'
    assert not reader.whole


def test_the_sources_of_an_answer_are_those_that_it_cites():
    page = {"url": "https://example.org/a", "title": "A"}
    searched = {"type": "server_tool_use", "id": "s", "name": "deepseek_web_search", "input": {"query": "oslo"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result", **page}]}
    cited = [{"type": "web_search_result_location", **page, "cited_text": "Rain expected…"}]
    content = [searched, found, {"type": "text", "text": "Rain.", "citations": cited}]
    message = decode_message(write(ended(content=content)))
    assert [(source.url, source.title, source.quoted) for source in message.sources] == [
        ("https://example.org/a", "A", "Rain expected…"),
    ]


def test_kinds_of_blocks_have_classes_of_their_own():
    kinds = [("text", TextBlock), ("thinking", ThinkingBlock), ("tool_use", ToolUseBlock), ("x", ContentBlock)]
    message = decode_message(write({"content": [{"type": name} for name, _ in kinds], "stop_reason": "end_turn"}))
    assert [type(block) for block in message.content] == [kind for _, kind in kinds]


@given(
    st.lists(st.sampled_from([b"event: a\n", b"data: x\n", b"data: y\n", b"\n", b": c\n", b"id: 1\n", b"\r\n", b"z"])),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_named_events_are_cut_like_all_others(lines: list[bytes], places: list[int]):
    stream = b"event: a\ndata: first\n\n" + b"".join(lines) + b"\n\nevent: b\ndata: last\n\n"
    slow, quick = SSEDecoder(), SSEDecoder()
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert [data for piece in pieces for data in quick.feed_data(piece)] == [one.data for one in slow.feed(stream)]


@given(MESSAGES, st.integers(1, 40))
def test_bytes_split_anywhere_give_the_same_message(sent: dict[str, Any], size: int):
    stream = replay(write(sent))
    reader = MessageReader()
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    assert reader.done
    assert reader.answer().to_dict() == sent


def ended(**fields: Any) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", **fields}


@pytest.mark.parametrize(
    "sent",
    [
        ended(),
        ended(stop_reason="refusal", content=[]),
        ended(stop_reason="pause_turn"),
        ended(stop_reason="a_word_of_2027"),
        ended(stop_reason="max_tokens", content=[{"type": "thinking", "thinking": "hm"}]),
        ended(stop_reason="stop_sequence", content=[]),
        ended(content=[{"type": "x_of_2027"}]),
    ],
)
def test_what_is_an_answer_is_one_whole_or_streamed(sent: dict[str, Any]):
    assert fault_of_message(decode_message(write(sent)), {}, now=0.0) is None
    reader = MessageReader()
    reader.feed(replay(write(sent)))
    assert reader.fault(progressed=True) is None


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (ended(stop_reason=None), StreamInterruptedError),
        (ended(stop_reason="insufficient_system_resource"), StreamInterruptedError),
        (ended(content=[]), APIResponseValidationError),
        (ended(content=[{"type": "thinking", "thinking": "hm"}]), APIResponseValidationError),
        ({}, APIResponseValidationError),
        ({"content": "Hi"}, StreamInterruptedError),
    ],
)
def test_what_is_no_answer_is_told_apart(sent: dict[str, Any], kind: type[Exception]):
    assert type(fault_of_message(decode_message(write(sent)), {}, now=0.0)) is kind


def cut_short() -> Iterator[bytes]:
    events = replay(write(ended(usage={"input_tokens": 5, "output_tokens": 2}))).split(b"\n\n")[:-1]
    for number in range(1, len(events)):
        yield b"\n\n".join(events[:number]) + b"\n\n"
    yield b"\n\n".join([*events[:3], *events[4:]]) + b"\n\n"  # its block was never closed
    yield b"\n\n".join(events[:-1]) + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("stream", list(cut_short()))
def test_message_stop_alone_is_the_end_and_only_while_no_block_is_open(stream: bytes):
    reader = MessageReader()
    reader.feed(stream)
    assert not reader.whole
    assert isinstance(reader.fault(progressed=True), StreamInterruptedError)


@given(USAGE)
def test_tokens_have_one_meaning(usage: dict[str, Any]):
    used = decode_message(write(ended(usage=usage))).tokens_used()
    assert used is not None
    assert used.prompt_tokens == usage["input_tokens"] + usage["cache_read_input_tokens"]
    assert used.cached_tokens == usage["cache_read_input_tokens"]
    assert used.completion_tokens == usage["output_tokens"]
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    assert used.counters().items() >= {name: item for name, item in usage.items() if isinstance(item, int)}.items()
    message = decode_message(write(ended()))
    message.bill((), CompletionUsage(prompt_tokens=300, completion_tokens=7, prompt_cache_hit_tokens=256))
    assert message.usage is not None
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (44, 256)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "content", "x"]), inner)
    ),
    max_leaves=6,
)
KINDS = ("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error")
WITHIN = ("message", "content_block", "delta", "usage", "index", "error", "x")


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(WITHIN), ODD)), max_size=6))
def test_events_of_any_form_are_read_or_told_of(sent: list[tuple[str, dict[str, Any]]]):
    reader = MessageReader()
    for kind, fields in sent:
        reader.feed(event({**fields, "type": kind}))
        reader.answer()
        if reader.halted:
            break
    reader.fault(progressed=True)


@given(MESSAGES, st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 20))
def test_spoilt_bytes_end_in_an_answer_or_in_an_error_of_ours(sent: dict, place: int, put: bytes, cut: int):
    for came, take in ((write(sent), decode_message), (replay(write(sent)), _read_to_its_end)):
        at = place % len(came)
        with suppress(APIError):
            take(came[:at] + put + came[at + cut :])


def _read_to_its_end(stream: bytes) -> None:
    reader = MessageReader()
    reader.feed(stream)
    reader.fault(progressed=True)
    if reader.failure is not None:
        raise reader.failure


@pytest.mark.parametrize("depth", [300, 1100, 100_000])
def test_what_is_nested_without_end_is_an_answer_or_an_error_of_ours(depth: int):
    deep = b"[" * depth + b"]" * depth
    plain = b'{"type":"message","content":[{"type":"x","x":%b}],"stop_reason":"end_turn","x":1}' % deep
    with suppress(APIError):
        fault_of_message(decode_message(plain), {}, now=0.0)
    for kind, field in (("message_start", "message"), ("content_block_start", "content_block"), (_DELTA, "delta")):
        with suppress(APIError):
            _read_to_its_end(b'data: {"type":"%b","index":0,"%b":{"x":%b}}\n\n' % (kind.encode(), field.encode(), deep))
