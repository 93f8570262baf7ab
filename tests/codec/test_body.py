"""Bodies to answers: a paid answer survives odd JSON, and fields that nobody declared stay reachable."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.servers import CANARY, answer

from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import APIResponseValidationError
from deepseek_async.types import ChatCompletionChunk, UserBalance
from deepseek_async.types.chat_completion import OpenChunk


def wire(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_whole_answer_is_typed():
    body = answer("Hello")
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 3}
    body["choices"][0]["message"]["reasoning_content"] = "hm"
    done = decode_completion(wire(body))
    assert (done.id, done.model, done.created) == ("5f0c", "deepseek-flash", 1795450000)
    assert done.choices[0].message.content == "Hello"
    assert done.choices[0].message.reasoning_content == "hm"
    assert done.usage is not None
    assert (done.usage.cached_tokens, done.usage.reasoning_tokens) == (4, 3)


def test_blank_lines_around_the_body_are_ignored():
    assert decode_completion(b"\n\r\n  " + wire(answer()) + b"\n").choices[0].message.content == "Hello"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, ("", "Hello")),
        ({"created": "1795450000"}, ("5f0c", "Hello")),
        ({"created": None, "usage": None, "system_fingerprint": None}, ("5f0c", "Hello")),
        ({"usage": {"prompt_tokens": None, "completion_tokens": "5"}}, ("5f0c", "Hello")),
        ({"id": "\ud83d"}, ("\ud83d", "Hello")),
        ({"model": None, "object": None}, ("5f0c", "Hello")),
    ],
)
def test_an_odd_field_does_not_cost_the_answer(change: dict, expected: tuple[str, str]):
    done = decode_completion(wire({**answer(), **change}))
    assert (done.id, done.choices[0].message.content) == expected


@pytest.mark.parametrize("missing", sorted(set(answer()) - {"choices"}))
def test_a_missing_field_has_its_default(missing: str):
    body = answer()
    del body[missing]
    assert decode_completion(wire(body)).choices[0].message.content == "Hello"


def test_a_byte_order_mark_is_ignored():
    done = decode_completion(b"\xef\xbb\xbf" + wire(answer(mood="fine")))
    assert done.choices[0].message.content == "Hello"
    assert done.mood == "fine"


def test_a_lone_surrogate_in_the_answer_survives_with_its_undeclared_fields():
    body = answer("half \ud83d", mood="\ud83d")
    done = decode_completion(wire(body))
    assert done.choices[0].message.content == "half \ud83d"
    assert done.mood == "\ud83d"
    assert not hasattr(done, "colour")
    assert done.to_dict() == body
    assert json.loads(done.encoded()) == body


def test_undeclared_fields_are_reachable_wherever_they_stand():
    body = answer(new_field={"a": 1})
    body["choices"][0]["new_in_choice"] = 2
    body["choices"][0]["message"]["new_in_message"] = [3]
    done = decode_completion(wire(body))
    assert done.new_field == {"a": 1}
    assert done.choices[0].new_in_choice == 2
    assert done.choices[0].message.new_in_message == [3]
    assert done.to_dict() == body
    assert done.choices[0].to_dict() == body["choices"][0]
    assert done.choices[0].message.to_dict() == body["choices"][0]["message"]


def test_a_field_that_was_not_sent_is_named_with_those_that_were():
    done = decode_completion(wire(answer()))
    with pytest.raises(AttributeError, match=r"'colour'.*choices"):
        _ = done.colour
    with pytest.raises(AttributeError, match=r"'colour'.*content"):
        _ = done.choices[0].message.colour


@pytest.mark.parametrize(
    "choices",
    [
        [{"index": 0, "finish_reason": "stop"}],
        [{"index": 0, "finish_reason": "stop", "message": None}],
        [None, {"index": 0, "finish_reason": "stop", "message": {"content": "x"}}],
    ],
)
def test_undeclared_fields_of_parts_that_were_not_sent_are_absent(choices: list):
    done = decode_completion(wire({**answer(), "choices": choices}))
    assert not hasattr(done.choices[0], "colour")
    assert not hasattr(done.choices[0].message, "colour")
    assert isinstance(done.choices[0].message.to_dict(), dict)


def test_answers_can_be_copied_and_pickled():
    done = decode_completion(wire(answer(mood="fine")))
    for twin in (copy.copy(done), copy.deepcopy(done), pickle.loads(pickle.dumps(done))):
        assert twin == done
        assert twin.mood == "fine"


def test_an_answer_shows_its_fields_and_not_its_bytes():
    shown = repr(decode_completion(wire(answer())))
    assert "content='Hello'" in shown
    assert "_wire" not in shown
    assert "deepseek_async:wire" not in json.dumps(decode_completion(wire(answer())).usage.to_dict())


def test_logprobs_are_typed():
    tokens = [{"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "H", "logprob": -9999.0}]}]
    body = answer()
    body["choices"][0]["logprobs"] = {"content": tokens, "reasoning_content": None}
    logprobs = decode_completion(wire(body)).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert logprobs.content[0].top_logprobs[0].logprob == -9999.0


def test_tool_calls_with_content_of_null_are_typed():
    call = {"index": 0, "id": "call_00_a", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    body = answer(finish_reason="tool_calls")
    body["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    message = decode_completion(wire(body)).choices[0].message
    assert message.content is None
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"a": 1}'


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"<html>", b"\xff\xfe"],
)
def test_what_is_no_answer_is_refused_with_a_quotation(body: bytes):
    with pytest.raises(APIResponseValidationError, match="does not match the API's format") as caught:
        decode_completion(body)
    assert caught.value.retryable


@pytest.mark.parametrize("body", [b"7", b'"text"', b"[1]", b'{"choices": 7}', b'{"choices": [7]}'])
def test_whole_json_in_an_unknown_form_is_not_asked_for_again(body: bytes):
    with pytest.raises(APIResponseValidationError, match="does not match the API's format") as caught:
        decode_completion(body)
    assert (caught.value.retryable, caught.value.reason) == (False, "form")


def test_deep_json_is_refused_and_no_crash():
    with pytest.raises(APIResponseValidationError):
        decode_completion(b'{"x":' + b"[" * 100_000)


def test_a_quotation_is_short_harmless_and_shows_no_key():
    with pytest.raises(APIResponseValidationError) as caught:
        decode_completion(b"\x1b[2J " + CANARY.encode() + b" x" * 10_000)
    assert len(str(caught.value)) < 600
    assert "\x1b" not in str(caught.value)
    assert CANARY not in str(caught.value)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_an_answer_or_refused(body: bytes):
    with suppress(APIResponseValidationError):
        decode_completion(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*answer(), "error", "mood"]), JSON))
def test_any_object_is_an_answer_or_refused(body: dict):
    try:
        done = decode_completion(wire(body))
    except APIResponseValidationError:
        return
    assert done.to_dict() == body


def test_a_chunk_of_another_shape_keeps_its_fields():
    decoder = AnswerDecoder(ChatCompletionChunk, odd=OpenChunk)
    chunk = decoder.decode(b'{"choices": [], "error": {"message": "x"}}')
    assert isinstance(chunk, ChatCompletionChunk)
    assert chunk.error == {"message": "x"}


BEYOND_STRICT = {
    "a byte order mark": b'\xef\xbb\xbf{"choices": [{"finish_reason": "stop"}], "odd": 1}',
    "half a pair": rb'{"choices": [{"finish_reason": "stop"}], "odd": "\ud83d"}',
    "NaN": b'{"choices": [{"finish_reason": "stop"}], "odd": NaN}',
    "a number beyond all numbers": b'{"choices": [{"finish_reason": "stop"}], "odd": ' + b"7" * 5000 + b"}",
    "bytes that are no UTF-8": b'{"choices": [{"finish_reason": "stop"}], "odd": "\xff"}',
}


@pytest.mark.parametrize("body", BEYOND_STRICT.values(), ids=BEYOND_STRICT)
def test_a_field_that_nobody_declared_does_not_cost_the_answer_however_odd_it_is(body: bytes):
    done = decode_completion(body)
    assert done.choices[0].finish_reason == "stop"
    assert done.choices[0].to_dict() == {"finish_reason": "stop"}
    assert "odd" in done.to_dict()
    assert hasattr(done, "odd")
    assert done.encoded() == body


def test_money_is_exact():
    body = {"is_available": True, "balance_infos": [{"currency": "CNY", "total_balance": "110.10"}]}
    balance = AnswerDecoder(UserBalance).decode(wire(body))
    assert str(balance.balance_infos[0].total_balance) == "110.10"
