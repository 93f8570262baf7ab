"""Whatever stands in a field that nobody needs, what the model said is there, and the rest is as it came."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import odd_json
from support.odd_json import ENDS, JSON, SAID, Path, changed
from support.servers import answer, chunk, event

from deepseek_async.batch.review.output_reader import line_from
from deepseek_async.batch.strict_json import one_line
from deepseek_async.batch.truncated_answers import decode_answer
from deepseek_async.call.replayed import events_of
from deepseek_async.codec import finish_reason
from deepseek_async.codec.answer_check import fault_of
from deepseek_async.codec.answer_decoder import AnswerDecoder, ChoicesDecoder, MembersDecoder, TolerantJSON
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.responses import ResponseReader, fault_of_response
from deepseek_async.codec.text_completion import TextReader, fault_of_text
from deepseek_async.errors import APIResponseValidationError
from deepseek_async.types import (
    ChatCompletion,
    Completion,
    CreateEmbeddingResponse,
    FileObject,
    ModelList,
    Response,
    UserBalance,
)
from deepseek_async.types.answer import bills_of

decode_text = ChoicesDecoder(Completion, TextReader).decode
decode_reply = MembersDecoder(Response, "output", ResponseReader).decode
decode_vectors = MembersDecoder(CreateEmbeddingResponse, "data").decode

THE_CALL = [("read", '{"path": "a"}')]


def wire(value: Any) -> bytes:
    return json.dumps(value).encode()


def same(one: Any, other: Any) -> bool:
    """Equal as JSON, a NaN too."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def assert_said(done: ChatCompletion) -> None:
    message = done.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello", "hm")
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls or ()] == THE_CALL


def streamed(*events: Any) -> ChunkReader:
    reader = ChunkReader()
    reader.feed(b"".join(b"data: " + wire(each) + b"\n\n" for each in events) + event("[DONE]"))
    return reader


def is_small(value: Any) -> bool:
    """Whether JSON parsers agree about it: beyond 64 bits some read a number, and some a float."""
    if isinstance(value, dict):
        return all(map(is_small, value.values()))
    if isinstance(value, list):
        return all(map(is_small, value))
    return not isinstance(value, int | float) or (abs(value) < 2**63 and math.isfinite(value))


@given(odd_json.changes(odd_json.chat(), SAID | ENDS))
def test_a_plain_answer_survives_any_fields_that_nobody_needs(odd: dict[Path, Any]):
    body = changed(odd_json.chat(), odd)
    done = decode_completion(wire(body))
    assert_said(done)
    assert fault_of(done, {}, now=0) is None
    if is_small(body):
        assert same(done.to_dict(), body)
        assert same(done.choices[0].message.to_dict(), body["choices"][0]["message"])


@given(odd_json.changes(odd_json.chunks(), SAID | ENDS, most=5))
def test_a_streamed_answer_survives_any_fields_that_nobody_needs(odd: dict[Path, Any]):
    # An index in a stream says which call a fragment belongs to, as far as it is a number.
    kept = {path: value for path, value in odd.items() if path[-1] not in ("index", "id") or not is_number(value)}
    reader = streamed(*changed(odd_json.chunks(), kept))
    assert (reader.failure, reader.error, reader.done) == (None, None, True)
    assert reader.fault(progressed=True) is None
    assert_said(reader.answer())


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | str)


@given(odd_json.changes(odd_json.text(), SAID | ENDS))
def test_a_text_completion_survives_any_fields_that_nobody_needs(odd: dict[Path, Any]):
    body = changed(odd_json.text(), odd)
    done = decode_text(wire(body))
    assert fault_of_text(done, {}, now=0) is None
    assert done.choices[0].text == "Hello"
    reader = TextReader()
    reader.feed(b"data: " + wire(body) + b"\n\ndata: [DONE]\n\n")
    assert (reader.failure, reader.done) == (None, True)
    assert [choice.text for choice in reader.answer().choices] == ["Hello"]


@given(odd_json.changes(odd_json.reply(), SAID | {"status"}, most=1))
def test_a_response_survives_any_field_that_nobody_needs(odd: dict[Path, Any]):
    body = changed(odd_json.reply(), odd)
    done = decode_reply(wire(body))
    assert fault_of_response(done, {}, now=0) is None
    assert done.output_text == "Hello"
    reader = ResponseReader()
    reader.feed(b"data: " + wire({"type": "response.completed", "sequence_number": 1, "response": body}) + b"\n\n")
    assert (reader.failure, reader.error, reader.done) == (None, None, True)
    assert reader.answer().output_text == "Hello"


@given(st.sampled_from(["type", "sequence_number", "item_id", "code", "param"]), JSON)
def test_the_event_that_ends_a_response_is_known_by_its_answer(name: str, odd: Any):
    reader = ResponseReader()
    reader.feed(event({"type": "response.output_text.delta", "delta": "Hel"}))
    last = {"type": "response.completed", "sequence_number": 1, "response": odd_json.reply(), name: odd}
    reader.feed(b"data: " + wire(last) + b"\n\n")
    assert (reader.failure, reader.error, reader.done) == (None, None, True)
    assert reader.answer().output_text == "Hello"


@given(odd_json.changes(odd_json.vectors(), SAID))
def test_vectors_survive_any_fields_that_nobody_needs(odd: dict[Path, Any]):
    done = decode_vectors(wire(changed(odd_json.vectors(), odd)))
    assert list(done) == [[0.5, -1.0], [1.5, -1.0]]


_MODEL = {"id": "deepseek-flash", "object": "model", "owned_by": "deepseek", "context_window": 131072}
_FILE = {"id": "file-1", "object": "file", "bytes": 5, "created_at": 1795450000, "filename": "a", "status": "processed"}
_MONEY = {"currency": "USD", "total_balance": "1.50", "granted_balance": "0.50", "topped_up_balance": "1.00"}


@given(odd_json.changes([{"object": "list", "data": [_MODEL]}], {"data", "id"}))
def test_a_list_of_models_survives_any_other_fields(odd: dict[Path, Any]):
    models = AnswerDecoder(ModelList).decode(wire(changed([{"object": "list", "data": [_MODEL]}], odd)[0]))
    assert [model.id for model in models] == ["deepseek-flash"]


@given(odd_json.changes(_FILE, {"id"}))
def test_a_file_survives_any_other_fields(odd: dict[Path, Any]):
    assert AnswerDecoder(FileObject).decode(wire(changed(_FILE, odd))).id == "file-1"


@given(odd_json.changes([_MONEY], {"total_balance"}))
def test_a_balance_survives_any_other_fields(odd: dict[Path, Any]):
    body = {"is_available": True, "balance_infos": changed([_MONEY], odd)}
    assert str(AnswerDecoder(UserBalance).decode(wire(body)).balance_infos[0].total_balance) == "1.50"


@pytest.mark.parametrize("amount", ["much", [], True, {"value": 1}])
def test_an_amount_that_cannot_be_read_is_not_taken_for_none(amount: Any):
    body = {"is_available": True, "balance_infos": [{**_MONEY, "total_balance": amount}]}
    with pytest.raises(APIResponseValidationError, match="total_balance"):
        AnswerDecoder(UserBalance).decode(wire(body))


@pytest.mark.parametrize("number", [None, "x", [1], True])
def test_a_vector_without_one_of_its_numbers_is_none(number: Any):
    with pytest.raises(APIResponseValidationError, match="embedding"):
        decode_vectors(wire({"data": [{"index": 0, "embedding": [0.5, number, 1]}]}))


SPELLED = {
    "parts": ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello"),
    "texts": (["Hel", "lo"], "Hello"),
    "a part alone": ({"type": "text", "text": "Hello"}, "Hello"),
    "an answer in JSON": ({"text": "Hello", "sure": True}, '{"text":"Hello","sure":true}'),
    "a number": (42, "42"),
    "a picture beside": ([{"type": "image_url", "image_url": {}}, {"type": "text", "text": "Hello"}], "Hello"),
}


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_content_is_read_however_it_is_spelled(spelled: str):
    content, said = SPELLED[spelled]
    body = answer()
    body["choices"][0]["message"]["content"] = content
    done = decode_completion(wire(body))
    assert done.choices[0].message.content == said
    assert done.choices[0].message.to_dict()["content"] == content
    assert streamed(chunk({"content": content}, "stop")).answer().choices[0].message.content == said


def test_reasoning_among_the_parts_of_a_content_is_reasoning():
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    body = answer()
    body["choices"][0]["message"]["content"] = [thought, {"type": "text", "text": "Hello"}]
    message = decode_completion(wire(body)).choices[0].message
    assert (message.reasoning_content, message.content) == ("hm", "Hello")


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("arguments", [{"a": 1}, ["a"], {"text": "x"}, {}], ids=str)
def test_arguments_that_are_an_object_are_the_json_of_it(arguments: Any, single: bool):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    body = answer(None, finish_reason="tool_calls")
    body["choices"][0]["message"]["tool_calls"] = call if single else [call]
    calls = decode_completion(wire(body)).choices[0].message.tool_calls
    assert calls is not None
    assert [(one.function.name, json.loads(one.function.arguments)) for one in calls] == [("f", arguments)]


def test_what_was_repaired_is_told():
    body = answer(created=1795450000.5, model=["a"])
    body["choices"][0]["logprobs"] = []
    done = decode_completion(wire(body))
    assert done.created == 1795450000
    assert done.repaired == (
        "created: a number, read as an integer",
        "model: a list, left out",
        "choices[0].logprobs: a list, left out",
    )
    assert decode_completion(wire(answer())).repaired == ()
    assert streamed(chunk({"content": "x"}, created=0.5), chunk({}, "stop", created=0.5)).answer().repaired == (
        "created: a number, read as an integer",
    )


WORDS = {
    "eos": "stop",
    "end_turn": "stop",
    "STOP": "stop",
    "stop_sequence": "stop",
    "MAX_TOKENS": "length",
    "tool-calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "SAFETY": "content_filter",
}


@pytest.mark.parametrize("word", WORDS)
def test_the_words_of_others_for_an_ending_are_understood_and_kept(word: str):
    whole = decode_completion(wire(answer(finish_reason=word)))
    in_pieces = streamed(chunk({"content": "Hello"}, word)).answer()
    for done in (whole, in_pieces):
        choice = done.choices[0]
        assert (choice.finish_reason, choice.native_finish_reason) == (WORDS[word], word)
        assert fault_of(done, {}, now=0) is None
    assert whole.choices[0].to_dict()["finish_reason"] == word


@given(JSON)
def test_nothing_unknown_is_taken_for_an_ending(odd: Any):
    done = decode_completion(wire(answer("half", finish_reason=odd)))
    fault = fault_of(done, {}, now=0)
    if finish_reason.known(done.choices[0].finish_reason) in finish_reason.COMPLETE:
        return
    assert fault is not None
    assert fault.text == "half"
    assert fault.retryable is (odd is None)


def test_no_known_word_is_that_of_a_server_that_gave_up():
    assert not {finish_reason.known(word) for word in finish_reason.GAVE_UP} & finish_reason.COMPLETE


@pytest.mark.parametrize("beat", ["", " ", "null", '""', "[]"])
@pytest.mark.parametrize("reader", [ChunkReader, TextReader, ResponseReader])
def test_an_event_that_says_nothing_is_passed_over(reader: Callable[[], Any], beat: str):
    reading = reader()
    assert reading.feed(event(beat)) == []
    assert (reading.failure, reading.halted) == (None, False)


@pytest.mark.parametrize("after", [event("{"), event("[1]"), event({"error": {"message": "late"}})])
def test_what_comes_after_the_end_of_an_answer_takes_nothing_from_it(after: bytes):
    reader = ChunkReader()
    reader.feed(event(chunk({"content": "Hello"}, "stop")))
    reader.feed(after)
    assert (reader.failure, reader.error, reader.done) == (None, None, True)


@given(odd_json.changes(odd_json.chat(), SAID | ENDS))
def test_an_odd_answer_is_streamed_from_the_cache_as_it_is_given_whole(odd: dict[Path, Any]):
    events = events_of(wire(changed(odd_json.chat(), odd)))
    assert events is not None
    reader = ChunkReader()
    reader.feed(events)
    assert (reader.failure, reader.done) == (None, True)
    assert_said(reader.answer())


@pytest.mark.parametrize("decoded", ["chat", "text", "reply"])
def test_a_stream_that_nobody_asked_for_is_read_as_the_answer_that_it_is(decoded: str):
    body = {"chat": odd_json.chat, "text": odd_json.text, "reply": odd_json.reply}[decoded]()
    events = events_of(wire(body))
    assert events is not None
    if decoded == "chat":
        assert_said(decode_completion(b": keep-alive\n\n" + events))
    elif decoded == "text":
        assert decode_text(events).choices[0].text == "Hello"
    else:
        assert decode_reply(events).output_text == "Hello"


@given(odd_json.changes(odd_json.chat(), SAID | ENDS))
def test_a_row_with_an_odd_answer_is_read_from_its_output(odd: dict[Path, Any]):
    body = changed(odd_json.chat(), odd)
    written = one_line(TolerantJSON(wire(body)))
    line = b'{"custom_id": "a", "response": {"status_code": 200, "body": %b}, "error": null}' % written
    found = line_from(line)
    assert found is not None
    assert found.body.text == "Hello"
    kind = decode_answer(line)
    assert kind is not None
    assert not kind.cut_off


def test_a_row_that_was_cut_off_is_known_in_the_words_of_others():
    body = answer("half", finish_reason="MAX_TOKENS", created=0.5)
    kind = decode_answer(wire({"custom_id": "a", "response": {"body": body}}))
    assert kind is not None
    assert kind.cut_off


@pytest.mark.parametrize("created", [10**18, -1, 1e300, "1e400"], ids=str)
def test_a_moment_that_no_calendar_has_is_none(created: Any):
    body = answer(created=created)
    (bill,) = bills_of(decode_completion(wire(body)))
    assert bill.at == 0.0
    found = line_from(b'{"custom_id": "a", "response": {"body": %b}, "error": null}' % wire(body))
    assert found is not None
    assert found.started is None
    assert found.body.text == "Hello"
