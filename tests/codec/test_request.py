"""Parameters to bytes, and what cannot be sent, named by its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.codec.request import encode_request
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types import ChatCompletionMessage, Function, ToolCall

# Names are held to more than JSON is: no control characters. See below.
FIELDS = st.text().filter(lambda field: field not in {"model", "user_id", "user"})


@given(st.dictionaries(FIELDS, st.text() | st.integers(-(2**53), 2**53) | st.booleans() | st.none()))
def test_json_goes_out_as_it_is(parameters: dict):
    assert json.loads(encode_request(parameters)) == parameters


def test_text_goes_out_as_utf_8():
    assert encode_request({"a": "Grüße 😀\u2028"}) == '{"a":"Grüße 😀\u2028"}'.encode()


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        (
            {"messages": [{"content": "ok"}, {"content": "half \ud83d"}]},
            r"messages\[1\]\.content .*U\+D83D.*character 5",
        ),
        ({"stop": ("a", "\udc00")}, r"stop\[1\]"),
        ({"messages": [{"content": b"bytes"}]}, r"messages\[0\]\.content must be a JSON value, got bytes"),
        ({"messages": [{"content": {1, 2}}]}, r"messages\[0\]\.content must be a JSON value, got set"),
        ({"x": object()}, r"x must be a JSON value, got object"),
        ({"messages": (m for m in [])}, r"messages must be a JSON value, got generator"),
        ({"temperature": float("nan")}, r"temperature must be a finite number, got nan"),
        (
            {"messages": [{"content": None}, {"content": [1.0, -float("inf")]}]},
            r"content\[1\] must be a finite number, got -inf",
        ),
        ({"x": 2**70}, r"x must fit into 64 bits, got 1180591620717411303424"),
        ({"x": {1: 2}}, r"keys of x must be strings, got 1 \(int\)"),
        ({"x": {"\ud83d": 2}}, r"a key of x contains a lone surrogate"),
    ],
)
def test_what_json_cannot_carry_is_named_by_its_place(parameters: dict, place: str):
    with pytest.raises(InvalidRequestError, match=place):
        encode_request(parameters)


GOOD = st.sampled_from(
    [
        "text",
        1,
        None,
        datetime(2027, 1, 1, tzinfo=UTC),
        MappingProxyType({"a": 1}),
        ChatCompletionMessage(content="half \ud83d", tool_calls=[ToolCall(function=Function("f", "\udc00"))]),
    ],
)


@given(
    st.lists(st.integers(0, 3) | st.sampled_from(["role", "content", "image_url"]), min_size=1, max_size=5),
    st.sampled_from([b"x", {1}, object(), 2**64, datetime, "\udc00"]),
    st.data(),
)
def test_the_culprit_is_named_and_nothing_before_it(path: list, culprit: object, data: st.DataObject):
    value, place = culprit, ""
    for step in reversed(path):
        if isinstance(step, int):
            value = [*(data.draw(GOOD) for _ in range(step)), value, data.draw(GOOD)]
            place = f"[{step}]{place}"
        else:
            value = {"other": data.draw(GOOD), step: value}
            place = f".{step}{place}"
    with pytest.raises(InvalidRequestError) as caught:
        encode_request({"model": "m", "messages": value})
    assert str(caught.value).startswith(f"messages{place} ")


def test_an_answer_goes_back_with_what_utf_8_can_carry():
    message = ChatCompletionMessage(content="a\ud83d", reasoning_content="\ud83d\ude00")
    sent = json.loads(encode_request({"messages": [message]}))["messages"][0]
    assert (sent["content"], sent["reasoning_content"]) == ("a\ufffd", "\U0001f600")


def test_a_list_that_holds_itself_is_refused():
    messages: list = [{"content": "x"}]
    messages.append(messages)
    with pytest.raises(InvalidRequestError, match="JSON"):
        encode_request({"messages": messages})


def test_a_request_past_the_limit_is_refused_with_its_size_and_the_setting():
    assert encode_request({"a": "x" * 992}, 1000)
    with pytest.raises(InvalidRequestError, match=r"1,001 bytes, limits\.request is 1,000"):
        encode_request({"a": "x" * 993}, 1000)


@pytest.mark.parametrize("field", ["model", "user_id", "user"])
@pytest.mark.parametrize("name", ["a\r\nX: 1", "a\nb", "a\0b", "\x1b[31m"])
def test_a_name_with_a_control_character_is_refused(field: str, name: str):
    with pytest.raises(InvalidRequestError, match=field) as caught:
        encode_request({"model": "deepseek-flash", field: name})
    assert str(caught.value).isprintable()
