"""Which lines are dialogues that a model can learn from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.finetune.dialogue import read_dialogue
from deepseek_async.finetune.rejection import RejectedLineError

USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be kind."}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "7"}

TWO_CALLS = {**CALLS, "tool_calls": [CALL, {**CALL, "id": "d"}]}
OTHER_RESULT = {**RESULT, "tool_call_id": "d"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def called(**changed: Any) -> dict[str, Any]:
    return {**CALLS, "tool_calls": [{**CALL, **changed}]}


def row(*messages: Any, **beside: Any) -> bytes:
    return json.dumps({"messages": messages, **beside}).encode()


def line(*messages: Any) -> bytes:
    return json.dumps({"messages": messages}).encode()


@pytest.mark.parametrize(
    "messages",
    [
        [USER, ASSISTANT],
        [SYSTEM, USER, ASSISTANT],
        [USER, ASSISTANT, USER, ASSISTANT],
        [USER, CALLS, RESULT, ASSISTANT],
        [USER, TWO_CALLS, OTHER_RESULT, RESULT, ASSISTANT],
        [USER, CALLS, RESULT, CALLS, RESULT, ASSISTANT],
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
        (b"[]", "shape", "must be a JSON object"),
        (b"{}", "shape", "'prompt' and 'completion'"),
        (b'{"messages": []}', "shape", "at least one"),
        (b'{"messages": {}}', "shape", "at least one"),
        (b'{"prompt": "a", "completion": ""}', "empty", r"messages\[1\]"),
        (b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', "json", "not JSON"),
        (line("Hi"), "shape", "must be an object"),
        (line({"role": "bot", "content": "Hi"}), "role", "'bot'"),
        (line({"content": "Hi"}), "role", "None"),
        (line({"role": ["user"], "content": "Hi"}), "role", "user"),
        (line(USER, {"role": "assistant", "content": " \n"}), "empty", r"messages\[1\] is empty"),
        (line(USER, {"role": "assistant"}), "empty", r"messages\[1\]"),
        (line({"role": "user", "content": ["Hi"]}, ASSISTANT), "shape", "must be a string"),
        (line(USER, CALLS, {"role": "tool", "content": "7"}), "shape", "tool_call_id"),
        (line(ASSISTANT), "order", "after the beginning must be system or user, got 'assistant'"),
        (line(USER), "order", "must end with an assistant message"),
        (line(USER, USER, ASSISTANT), "order", "after 'user' must be assistant, got 'user'"),
        (line(USER, ASSISTANT, SYSTEM), "order", "after 'assistant' must be user, got 'system'"),
        (line(USER, RESULT, ASSISTANT), "order", "after 'user' must be assistant, got 'tool'"),
        (line(USER, CALLS, ASSISTANT), "order", "after a tool call must be tool"),
        (line(USER, CALLS, RESULT), "order", "must end with an assistant message"),
        (line(USER, CALLS), "order", "must end with an assistant message"),
        (line(USER, {**CALLS, "tool_calls": 7}, RESULT, ASSISTANT), "calls", "must be a list"),
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


@pytest.mark.parametrize(
    "beside",
    [
        {"tools": TOOLS},
        {"functions": [{"name": "f", "parameters": {}}]},
        {"tools": TOOLS, "parallel_tool_calls": False, "id": 7, "later": {"added": True}},
        {"tools": None},
    ],
)
def test_what_stands_beside_the_messages_stays(beside: dict[str, Any]):
    assert json.loads(read_dialogue(row(USER, CALLS, RESULT, ASSISTANT, **beside)).wire) == {
        "messages": [USER, CALLS, RESULT, ASSISTANT],
        **beside,
    }
    pair = json.dumps({"prompt": "Hi", "completion": "Hello", **beside}).encode()
    assert json.loads(read_dialogue(pair).wire) == {"messages": [USER, ASSISTANT], **beside}


@pytest.mark.parametrize("dialogue", [{"messages": [USER, ASSISTANT]}, {"prompt": "Hi", "completion": "Hello"}])
def test_a_system_text_beside_a_dialogue_leads_it(dialogue: dict[str, Any]):
    found = read_dialogue(json.dumps({"system": "Be kind.", **dialogue}).encode())
    assert json.loads(found.wire) == {"messages": [SYSTEM, USER, ASSISTANT]}
    assert found.content == read_dialogue(line(SYSTEM, USER, ASSISTANT)).content


def test_the_same_talk_with_other_tools_is_no_duplicate():
    other = [{"type": "function", "function": {"name": "g"}}]
    rows = [row(USER, ASSISTANT), row(USER, ASSISTANT, tools=TOOLS), row(USER, ASSISTANT, tools=other)]
    assert len({read_dialogue(one).content for one in rows}) == 3
    assert len({read_dialogue(one).question for one in rows}) == 1


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (row(USER, called(function={"name": "f", "arguments": '{"a":'}), RESULT, ASSISTANT), "calls", "must be JSON"),
        (
            row(USER, called(function={"name": "f", "arguments": "[]"}), RESULT, ASSISTANT),
            "calls",
            "must be a JSON object",
        ),
        (row(USER, called(function={"name": "f", "arguments": {}}), RESULT, ASSISTANT), "calls", "encoded as a string"),
        (row(USER, called(function={"name": ""}), RESULT, ASSISTANT), "calls", "must have a function name"),
        (row(USER, called(function=None), RESULT, ASSISTANT), "calls", r"tool_calls\[0\] must have a function name"),
        (row(USER, called(id=None), RESULT, ASSISTANT), "calls", "must have a unique id"),
        (
            row(USER, {**CALLS, "tool_calls": [CALL, CALL]}, RESULT, RESULT, ASSISTANT),
            "calls",
            r"tool_calls\[1\] must have a unique id",
        ),
        (row(USER, {**CALLS, "tool_calls": CALL}, RESULT, ASSISTANT), "calls", "must be a list"),
        (row(USER, CALLS, OTHER_RESULT, ASSISTANT), "calls", "'d' matches no open call"),
        (row(USER, CALLS, RESULT, RESULT, ASSISTANT), "calls", "no open call"),
        (row(USER, TWO_CALLS, RESULT, ASSISTANT), "calls", r"'d' needs a result before messages\[3\]"),
        (row(USER, CALLS, RESULT, ASSISTANT, tools=[]), "calls", "not among the row's tools"),
        (row(USER, ASSISTANT, tools={}), "tools", "must be a list"),
        (row(USER, ASSISTANT, tools=[{"name": "f"}]), "tools", r"tools\[0\] must have a function name"),
        (row(USER, ASSISTANT, functions=[{"name": "f", "parameters": []}]), "tools", "must be a JSON Schema"),
        (row(USER, ASSISTANT, system=["x"]), "shape", "'system' must be a string"),
        (row(SYSTEM, USER, ASSISTANT, system="x"), "shape", "must not have both"),
    ],
)
def test_broken_tools_and_calls_are_refused_by_their_place(text: bytes, kind: str, said: str):
    with pytest.raises(RejectedLineError, match=said) as caught:
        read_dialogue(text)
    assert caught.value.kind == kind
