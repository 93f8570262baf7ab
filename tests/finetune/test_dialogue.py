"""Which lines are dialogues that a model can learn from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.finetune.dialogue import RejectedLineError, read_dialogue

USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be kind."}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "7"}


def line(*messages: Any) -> bytes:
    return json.dumps({"messages": messages}).encode()


@pytest.mark.parametrize(
    "messages",
    [
        [USER, ASSISTANT],
        [SYSTEM, USER, ASSISTANT],
        [USER, ASSISTANT, USER, ASSISTANT],
        [USER, CALLS, RESULT, RESULT, ASSISTANT],
        [USER, {**CALLS, "content": ""}, RESULT, ASSISTANT, USER, ASSISTANT],
    ],
)
def test_a_dialogue_goes_on_as_it_came(messages: list):
    dialogue = read_dialogue(line(*messages))
    assert json.loads(dialogue.wire) == {"messages": messages}
    assert dialogue.tokens > 0


def test_a_prompt_with_its_completion_is_a_dialogue_of_one_turn():
    dialogue = read_dialogue(b'{"prompt": "Hi", "completion": "Hello"}')
    assert json.loads(dialogue.wire) == {"messages": [USER, ASSISTANT]}
    assert dialogue.content == read_dialogue(line(USER, ASSISTANT)).content


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (b"{", "json", "not JSON"),
        (b"[]", "shape", "not a JSON object"),
        (b"{}", "shape", "neither"),
        (b'{"messages": []}', "shape", "at least one"),
        (b'{"messages": {}}', "shape", "at least one"),
        (b'{"prompt": "a", "completion": ""}', "empty", r"messages\[1\]"),
        (b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', "json", "not JSON"),
        (line("Hi"), "shape", "not an object"),
        (line({"role": "bot", "content": "Hi"}), "role", "'bot'"),
        (line({"content": "Hi"}), "role", "None"),
        (line({"role": ["user"], "content": "Hi"}), "role", "user"),
        (line(USER, {"role": "assistant", "content": " \n"}), "empty", r"messages\[1\] says nothing"),
        (line(USER, {"role": "assistant"}), "empty", r"messages\[1\]"),
        (line({"role": "user", "content": ["Hi"]}, ASSISTANT), "shape", "not a text"),
        (line(USER, CALLS, {"role": "tool", "content": "7"}), "shape", "tool_call_id"),
        (line(ASSISTANT), "order", "'assistant' after the beginning"),
        (line(USER), "order", "does not end"),
        (line(USER, USER, ASSISTANT), "order", "'user' after 'user'; expected assistant"),
        (line(USER, ASSISTANT, SYSTEM), "order", "'system' after 'assistant'"),
        (line(USER, RESULT, ASSISTANT), "order", "'tool' after 'user'"),
        (line(USER, CALLS, ASSISTANT), "order", "after a call of a tool; expected tool"),
        (line(USER, CALLS, RESULT), "order", "does not end"),
        (line(USER, CALLS), "order", "does not end"),
        (line(USER, {**CALLS, "tool_calls": 7}, RESULT, ASSISTANT), "shape", "not a list"),
        (line({**USER, "x": json.loads("[" * 300 + "]" * 300)}, ASSISTANT), "shape", "too deeply"),
    ],
)
def test_what_is_no_dialogue_says_why_and_where(text: bytes, kind: str, said: str):
    with pytest.raises(RejectedLineError, match=said) as caught:
        read_dialogue(text)
    assert caught.value.kind == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("role", "content", "tool_calls", "tool_call_id"), JSON))
    | st.sampled_from([USER, ASSISTANT, SYSTEM, CALLS, RESULT]),
    max_size=5,
)


@given(st.binary(max_size=40) | JSON.map(json.dumps).map(str.encode) | MESSAGES.map(lambda m: line(*m)))
def test_any_line_is_a_dialogue_or_rejected(text: bytes):
    try:
        dialogue = read_dialogue(text)
    except RejectedLineError:
        return
    assert read_dialogue(dialogue.wire) == dialogue


def test_white_space_and_case_make_no_other_row_and_an_answer_no_other_question():
    one = read_dialogue(line(USER, ASSISTANT))
    same = read_dialogue(line({"role": "user", "content": " hI\n"}, {"role": "assistant", "content": "HELLO "}))
    other = read_dialogue(line(USER, {"role": "assistant", "content": "Good day"}))
    assert one.content == same.content != other.content
    assert one.question == same.question == other.question
