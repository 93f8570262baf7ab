"""JSON is found in what a model wrote around it, and nothing is guessed."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.codec.loose_json import found

GOOD = '{"product": "a", "stars": 3}'
READ = {"product": "a", "stars": 3}

FORMS = {
    "as it is": GOOD,
    "a fence on one line": f"```json {GOOD} ```",
    "words before a fence": f"Here is the JSON:\n```json\n{GOOD}\n```",
    "words after": GOOD + "\nHope this helps!",
    "thoughts before": f"<think>or {{}}?</think>\n{GOOD}",
    "a byte order mark": "\ufeff" + GOOD,
    "a list around": f"[{GOOD}]",
    "a comma at the end": '{"product": "a", "stars": 3,}',
    "the same twice": GOOD + GOOD,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_object_is_found(form: str):
    assert found(FORMS[form]) == READ


@pytest.mark.parametrize("text", ["", "none", "[1]", GOOD + '{"product": "b"}', '{"product": "a"', "{'product': 'a'}"])
def test_what_is_in_doubt_is_no_object(text: str):
    with pytest.raises(ValueError, match=r"."):
        found(text)


def test_commas_and_line_breaks_inside_of_texts_stay():
    assert found('{"a": "x,}\n,]", "b": "\\",}",}') == {"a": "x,}\n,]", "b": '",}'}


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists)))
def test_any_object_is_found_as_it_is(value: dict):
    assert found("Here: " + json.dumps(value)) == value


@pytest.mark.parametrize("text", ['{"a": "' + '\\"' * 200_000, "{" + "," * 200_000, "{" * 50_000, " " * 200_000 + "{"])
def test_a_text_that_is_no_json_is_looked_through_in_a_time_that_grows_with_its_length(text: str):
    began = time.process_time()
    with pytest.raises((ValueError, RecursionError)):
        found(text)
    assert time.process_time() - began < 20  # at a cost that grows with the square: an hour
