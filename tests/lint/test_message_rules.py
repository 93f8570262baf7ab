"""Requests in Anthropic's format: what is certain to be refused or ignored is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.lint.messages import message_findings

TURNS = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("sent", "code", "refused"),
    [
        ({"max_tokens": 0}, "range:max_tokens", True),
        ({"max_tokens": 393_217}, "lowered:max_tokens", False),
        ({"temperature": -1}, "range:temperature", True),
        ({"temperature": 2.5}, "range:temperature", True),
        ({"top_p": 0}, "range:top_p", True),
        ({"top_p": 1.5}, "range:top_p", True),
        ({"stop_sequences": "x"}, "stop_sequences", True),
        ({"stop_sequences": ["x", ""]}, "empty_stop", True),
        ({"stop_sequences": ["x"] * 17}, "too_many_stops", True),
        ({"tools": [TOOL, {"type": "custom", **TOOL, "name": "g"}]}, "custom_tool", True),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice", True),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice_any", False),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}, "tool_choice_while_thinking", True),
        ({"tools": [{**TOOL, "name": "a b"}]}, "tool_name", True),
        ({"tools": [TOOL, TOOL]}, "tool_names_not_unique", True),
        ({"tools": [{**TOOL, "input_schema": {"type": "array"}}]}, "tool_schema", True),
        ({"tools": [{**TOOL, "input_schema": {}}]}, "tool_schema", True),
        ({"safety_check": {"level": "medium"}}, "safety_check", True),
        ({"thinking": True}, "thinking_not_object", True),
        ({"thinking": "disabled"}, "thinking_not_object", True),
        ({"messages": [{"role": "user", "content": []}]}, "empty_content", True),
        ({"messages": [{"role": "assistant", "content": [{"type": "image"}]}]}, "image_from_assistant", True),
        (
            {"messages": [{"role": "user", "content": [{"type": "web_search_tool_result"}]}]},
            "result_not_from_assistant",
            True,
        ),
        ({"metadata": {"user_id": "ü" * 257}}, "user_id", True),
        ({"metadata": {"user_id": 5}}, "user_id", True),
        ({"metadata": {"user_id": "Ü"}}, "user_id:form", False),
        ({"top_k": 3}, "ignored_parameter:top_k", False),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "ignored_parameter:thinking.budget_tokens", False),
    ],
)
def test_what_is_certain_is_found_and_its_repair_ends_it(sent: dict[str, Any], code: str, refused: bool):
    request = {**TURNS, **sent}
    (finding,) = message_findings(request)
    assert (finding.code, finding.refused) == (code, refused)
    if finding.repair is not None:
        finding.repair(request)
        assert list(message_findings(request)) == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"max_tokens": 393_216, "temperature": 2, "top_p": 1, "stop_sequences": ["x"] * 16},
        {
            "tools": [{"type": "deepseek_web_search", "name": "deepseek_web_search"}, {"type": "a_tool_of_2027"}, TOOL],
            **OFF,
        },
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}, **OFF},
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}, "output_config": {"effort": "none"}},
        {"metadata": {"user_id": "a" * 512, "plan": [1]}, "thinking": {"type": "a_switch_of_2027"}},
        {"messages": [{"role": "user", "content": [{"type": "a_block_of_2027"}]}, {"role": "a_role_of_2027"}]},
        {"messages": [{"role": "assistant", "content": [{"type": "web_search_tool_result"}]}]},
        {"safety_check": {"level": "high", "a_field_of_2027": 1}},
        {"tool_choice": {"type": "a_choice_of_2027"}, "a_parameter_of_2027": {"x": 1}},
    ],
)
def test_what_nobody_knows_passes_without_a_word(sent: dict[str, Any]):
    assert list(message_findings({**TURNS, **sent})) == []


def test_what_is_meant_is_not_told_as_ignored():
    assert list(message_findings({**TURNS, "top_k": 3}, frozenset({"top_k"}))) == []


FIELDS = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "safety_check",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "any", "custom", "type"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "effort", "x"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_values_of_any_form_are_looked_at_without_an_error(sent: dict[str, Any]):
    for finding in message_findings({**TURNS, **sent}):
        assert str(finding)
        if finding.repair is not None:
            finding.repair({**TURNS, **sent})
