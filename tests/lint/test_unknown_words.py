"""What this version does not know is noted, and never refused, repaired or held against the rest of a request."""

from __future__ import annotations

import json
import tomllib
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.thoroughness import often
from test_linter import ASKED, CALLING, OFF, RESULT, TOOL, WRONG, request

import deepseek_async.lint
from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint import Linter, LintMode, RequestLintWarning
from deepseek_async.lint.linter import findings

SEARCH = {"type": "deepseek_web_search"}
UNKNOWN: dict[str, dict[str, Any]] = {
    "role": {"messages": [{"role": "narrator", "content": [{"new": 1}]}, ASKED]},
    "role between a call and its result": {"messages": [ASKED, CALLING, {"role": "narrator"}, RESULT], "thinking": OFF},
    "part": {"messages": [{"role": "user", "content": [{"type": "input_video", "video": 5}]}]},
    "part of an assistant": {"messages": [ASKED, {"role": "assistant", "content": [{"type": "canvas"}]}, ASKED]},
    "tool": {"tools": [{"type": "code_interpreter", "container": {"a": 1}}]},
    "tool beside a function": {"tools": [TOOL, {"type": "mcp"}, SEARCH], "thinking": OFF},
    "call": {
        "messages": [ASKED, {"role": "assistant", "content": "a", "tool_calls": [{"type": "web_call"}]}, ASKED],
    },
    "effort": {"reasoning_effort": "extreme"},
    "thinking": {"thinking": {"type": "auto"}},
    "format": {"response_format": {"type": "grammar", "grammar": "a"}},
    "choice": {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": []}, "thinking": OFF},
    "detail of an image": {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x", "detail": "8k"}}]},
        ],
    },
}  # fmt: skip


def checked(body: dict[str, Any], mode: LintMode) -> Any:
    return Linter(mode).checked(body, json.dumps(body).encode(), mode)


@pytest.mark.parametrize("what", UNKNOWN)
@pytest.mark.parametrize("mode", ["warn", "fix", "error"])
def test_an_unknown_word_goes_out_as_it_is_and_is_noted_once(what: str, mode: LintMode):
    body, notes = request(**UNKNOWN[what]), list[str]()
    linter = Linter(mode, notes.append)
    for _ in range(2):
        assert linter.checked(body, json.dumps(body).encode(), mode) == request(**UNKNOWN[what])
    assert {finding.severity for finding in findings(body)} == {"note"}
    assert len(notes) == 1
    assert "is unknown to this version" in notes[0]


def test_what_is_known_is_judged_beside_what_is_not():
    body = request(**UNKNOWN["role"], temperature=9)
    with pytest.raises(InvalidRequestError, match="temperature"):
        checked(body, "error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checked(body, "fix") == request(**UNKNOWN["role"], temperature=2)


def test_an_unknown_parameter_is_told_of_and_stays():
    with pytest.warns(RequestLintWarning, match="brand_new"):
        assert checked(request(brand_new={"a": 1}), "fix")["brand_new"] == {"a": 1}
    with pytest.warns(RequestLintWarning, match="brand_new"):
        checked(request(brand_new={"a": 1}), "error")


@settings(max_examples=often(200))
@given(st.data())
def test_an_unknown_word_anywhere_is_never_refused(data: st.DataObject):
    word = data.draw(st.text("xyz_", min_size=1, max_size=8).map("zz".__add__))
    fields: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"messages": [{"role": word, "content": word}, ASKED]},
                {"messages": [{"role": "user", "content": [{"type": word, word: word}]}]},
                {"tools": [{"type": word, word: [word]}]},
                {"tools": [SEARCH], "tool_choice": {"type": word}},
                {"reasoning_effort": word},
                {"response_format": {"type": word}},
                {word: {word: word}},
            ],
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert checked(request(**fields), "error") == request(**fields)


EXTENSIONS: list[tuple[str, dict[str, Any], str]] = [
    ("safety_check", {"safety_check": {"level": "medium"}}, "error"),
    (
        "safety_check_with_choice",
        {"safety_check": {"level": "high"}, "tools": [TOOL], "tool_choice": "required", "thinking": OFF},
        "error",
    ),
    ("web_search_while_thinking", {"tools": [SEARCH]}, "warning"),
    (
        "web_tools_with_json",
        {"tools": [SEARCH], "thinking": OFF, "response_format": {"type": "json_object"}},
        "warning",
    ),
    ("latest_reminder", {"messages": [{"role": "latest_reminder", "content": "today"}, ASKED]}, "warning"),
    (
        "latest_reminder:form",
        {"messages": [{"role": "latest_reminder", "content": "2026-11-09,Friday,,Web,English"}, ASKED]},
        "warning",
    ),
    (
        "latest_reminder_place",
        {"messages": [ASKED, {"role": "latest_reminder", "content": "2026-11-09,Monday,,Web,English"}]},
        "warning",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("code", "fields", "severity"), EXTENSIONS)
def test_the_extensions_have_rules(code: str, fields: dict[str, Any], severity: str):
    found = {finding.code: finding for finding in findings(request(**fields))}
    assert (found[code].severity, found[code].since) == (severity, date(2026, 11, 13))


@pytest.mark.parametrize(
    "fields",
    [
        {"safety_check": {"level": "high"}, "title": {"enabled": True}},
        {"tools": [SEARCH, {"type": "deepseek_read_url"}], "thinking": OFF},
        {"messages": [{"role": "latest_reminder", "content": "2026-11-09,Monday,Oslo, Norway,App,English"}, ASKED]},
        {"messages": [{"role": "latest_reminder", "content": "2026-11-09,星期一,,Web,中文"}, ASKED]},
    ],
)
def test_the_extensions_used_as_documented_have_nothing_to_find(fields: dict[str, Any]):
    assert list(findings(request(**fields))) == []


def test_a_search_while_thinking_is_warned_about_once_with_the_switch_and_left_as_it_is():
    linter, body = Linter("fix"), request(tools=[SEARCH])
    with pytest.warns(RequestLintWarning, match="thinking=False"):
        assert linter.checked(body, json.dumps(body).encode(), "fix") == request(tools=[SEARCH])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert linter.checked(body, json.dumps(body).encode(), "fix") == request(tools=[SEARCH])


def test_every_rule_is_dated_in_data():
    codes = {finding.code for _, fields, _ in [*WRONG, *EXTENSIONS] for finding in findings(request(**fields))}
    codes |= {finding.code for fields in UNKNOWN.values() for finding in findings(request(**fields))}
    undated = [finding for finding in codes if deepseek_async.lint.since(finding) is None]
    assert undated == []
    facts = tomllib.loads((Path(deepseek_async.lint.__file__).parent / "api_facts.toml").read_text())
    assert {code.partition(":")[0] for code in codes} <= facts["rules"].keys()
