"""What a user may hand in as a row, and what becomes of what is none."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from deepseek_async.batch.row import Defaults, Row, RowReader

HELLO = [{"role": "user", "content": "Hello"}]
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": HELLO}}


def read(value: Any, **defaults: Any) -> Row:
    return RowReader(Defaults(**defaults), "in.jsonl").read(value, 7)


def body_of(value: Any, **defaults: Any) -> dict[str, Any]:
    row = read(value, **defaults)
    assert row.error is None, row.error
    assert row.body is not None
    return dict(row.body)


def reason(row: Row) -> str:
    assert row.body is None
    assert row.error is not None
    assert (row.error.path, row.error.line) == ("in.jsonl", 7)
    place, _, said = row.error.message.partition(": ")
    assert place == "in.jsonl, line 7"
    return said


@pytest.mark.parametrize(
    "value",
    [
        "Hello",
        HELLO,
        tuple(HELLO),
        {"prompt": "Hello"},
        {"messages": HELLO},
        MappingProxyType({"messages": HELLO}),
        LINE,
        {**LINE, "url": "/chat/completions"},
        {"body": {"prompt": "Hello"}},
    ],
)
def test_every_accepted_form_becomes_the_same_request(value: Any):
    body = body_of(value)

    assert body.pop("model") == "deepseek-flash"
    assert [dict(message) for message in body.pop("messages")] == HELLO
    assert body == {}


def test_a_template_makes_the_prompt_of_a_record():
    row = read({"text": "Guten Tag", "n": 2, "custom_id": "a"}, template="Translate {n} words: {text}")

    assert row.custom_id == "a"
    assert row.body is not None
    assert row.body["messages"] == [{"role": "user", "content": "Translate 2 words: Guten Tag"}]
    assert set(row.body) == {"model", "messages"}, "columns of a record are no parameters"


def test_a_template_keeps_literal_braces():
    assert body_of({"x": "1"}, template='{{"x": {x}}}')["messages"][0]["content"] == '{"x": 1}'


def test_defaults_fill_what_the_row_leaves_out():
    body = body_of("Hello", model="deepseek-v4-pro", parameters={"temperature": 0.5, "max_tokens": 9})

    assert (body["model"], body["temperature"], body["max_tokens"]) == ("deepseek-v4-pro", 0.5, 9)


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: {**LINE, "body": body}])
def test_the_rows_own_values_win_over_the_defaults(wrap: Any):
    row = {"model": "deepseek-flash", "temperature": 1.0, "messages": HELLO}
    body = body_of(wrap(row), model="deepseek-v4-pro", parameters={"temperature": 0.5, "top_p": 0.9})

    assert (body["model"], body["temperature"], body["top_p"]) == ("deepseek-flash", 1.0, 0.9)


def test_reading_leaves_the_users_values_alone():
    value = {"custom_id": "a", "prompt": "Hello", "stream": True, "max_completion_tokens": 5}
    parameters = {"stream": True}
    before = dict(value)

    read(value, parameters=parameters)

    assert value == before
    assert parameters == {"stream": True}


def test_streaming_is_dropped_because_a_batch_reads_whole_answers():
    row = {"prompt": "Hello", "stream": True, "stream_options": {"include_usage": True}}

    assert set(body_of(row, parameters={"stream": True})) == {"model", "messages"}


def test_max_completion_tokens_is_sent_under_the_name_that_deepseek_knows():
    body = body_of({"prompt": "Hello", "max_completion_tokens": 5})

    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body


@pytest.mark.parametrize("order", [1, -1])
def test_two_different_caps_contradict_each_other(order: int):
    caps = [("max_completion_tokens", 5), ("max_tokens", 6)][::order]

    said = reason(read({"prompt": "Hello", **dict(caps)}))

    assert "max_tokens (6) and max_completion_tokens (5) differ" in said


@pytest.mark.parametrize("default", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
def test_the_rows_own_cap_wins_under_either_name(default: str, own: str):
    assert body_of({"prompt": "Hello", own: 5}, parameters={default: 100})["max_tokens"] == 5


def test_nulls_are_left_out():
    assert set(body_of({"prompt": "Hello", "temperature": None, "custom_id": None})) == {"model", "messages"}


@pytest.mark.parametrize(
    ("given", "name"), [("a", "a"), ("ä b/ü", "ä b/ü"), ("a\tb\u2028", "a\tb\u2028"), (7, "7"), (0, "0"), (None, None)]
)
def test_custom_ids_are_texts_or_whole_numbers(given: Any, name: str | None):
    assert read({"prompt": "Hello", "custom_id": given}).custom_id == name


@pytest.mark.parametrize(("given", "name"), [("a", "a"), (7, "7"), (7.0, "7")])
def test_ids_may_stand_under_another_name_which_is_not_sent(given: Any, name: str):
    row = read({"prompt": "Hello", "review": given, "custom_id": "other"}, id_column="review")

    assert row.custom_id == name
    assert set(row.body or ()) == {"model", "messages"}


def test_a_prompt_may_be_the_id_and_is_asked_all_the_same():
    assert body_of({"prompt": "Hello"}, id_column="prompt")["messages"] == HELLO
    assert read({"prompt": "Hello"}, id_column="prompt").custom_id == "Hello"


@pytest.mark.parametrize("value", ["Hello", {"prompt": "Hello"}, {"prompt": "Hello", "review": None}])
def test_a_row_without_the_id_that_was_promised_is_a_bad_row(value: Any):
    assert "'review' is empty, but every row needs an id" in reason(read(value, id_column="review"))


@pytest.mark.parametrize("given", ["", True, 1.5, ["a"], {"a": 1}, "a\nb", "a\x1b[31m", "\ud800"])
def test_other_custom_ids_are_refused(given: Any):
    row = read({"prompt": "Hello", "custom_id": given})

    assert "custom_id" in reason(row)
    assert row.custom_id is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "the prompt is empty"),
        (" \t", "the prompt is empty"),
        ({"prompt": 3}, "prompt must be a string, got int"),
        ({"prompt": None}, "the prompt is null"),
        ({"text": "Hello"}, "messages or prompt required, got keys"),
        ({}, "messages or prompt required, got keys: none"),
        (["one", "two"], "expected one request, got a list of requests"),
        ([{"prompt": "one"}, {"prompt": "two"}], "expected one request, got a list of requests"),
        (b"Hello", "got bytes"),
        ([], "non-empty list"),
        ({"messages": []}, "non-empty list"),
        ({"messages": "Hello"}, "messages must be a non-empty list"),
        ({"messages": {"role": "user"}}, "messages must be a non-empty list"),
        ({"prompt": "Hello", "model": ""}, "model must be a model"),
        ({"prompt": "Hello", "model": 5}, "model must be a model"),
        (7, "got int"),
        (None, "the prompt is null"),
        (1.5, "got float"),
        ({**LINE, "body": "Hello"}, "body must be an object, got str"),
        ({**LINE, "body": {}}, "messages or prompt required"),
        (
            {**LINE, "url": "/v1/audio"},
            "url must be /v1/chat/completions, /v1/completions, /v1/resp",
        ),
        ({**LINE, "url": ["/v1/responses"]}, "got ['/v1/responses']"),
        ({**LINE, "url": "/v1/responses"}, "input must be a non-empty string or list"),
        ({**LINE, "method": "GET"}, "'GET'"),
    ],
)
def test_a_bad_value_is_a_row_with_the_reason(value: Any, said: str):
    assert said in reason(read(value))


@pytest.mark.parametrize(
    ("template", "value", "said"),
    [
        ("{text}", "Hello", "got str"),
        ("{text}", {"other": 1}, "'text', but the row has: other"),
        ("{n:.2f}", {"n": "many"}, "cannot fill the template"),
        ("{n:d}", {"n": None}, "the column 'n' is null"),
        ("{n[0]}", {"n": 5}, "cannot fill the template"),
        ("{n[x]}", {"n": "text"}, "cannot fill the template"),
        ("{n.x}", {"n": "text"}, "cannot fill the template"),
        ("{text}", {"text": "  "}, "the column 'text' is empty"),
    ],
)
def test_a_template_that_does_not_fit_is_a_row_with_the_reason(template: str, value: Any, said: str):
    assert said in reason(read(value, template=template))


def test_a_bad_row_keeps_its_custom_id():
    assert read({"custom_id": "a", "messages": []}).custom_id == "a"
    assert read({"custom_id": "a", "other": 1}, template="{text}").custom_id == "a"


def test_rows_of_an_iterable_are_named_by_their_position():
    reader = RowReader(Defaults())
    reader.read("Hello")
    row = reader.read(5)

    assert (row.index, row.line) == (1, 2)
    assert row.error is not None
    assert row.error.message.startswith("request 2: ")


def test_every_row_takes_a_position_also_a_bad_one():
    reader = RowReader(Defaults(), "in.jsonl")
    rows = [reader.read("a", 1), reader.unreadable(3, "not JSON", b"{"), reader.read(5, 4), reader.read("b", 9)]

    assert [(row.index, row.line) for row in rows] == [(0, 1), (1, 3), (2, 4), (3, 9)]


class Broken(dict[str, Any]):
    """A mapping that fails however it is read."""

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("out of order")

    __getitem__ = items = keys = __repr__ = _fail  # type: ignore[assignment]


def test_an_object_that_fails_while_it_is_read_is_a_bad_row():
    assert reason(read(Broken(prompt="Hello"))) == "the row cannot be read: RuntimeError: out of order"
    assert reason(read(Broken(text="Hello"), template="{text}")) == "the row cannot be read: RuntimeError: out of order"
