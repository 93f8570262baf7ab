"""A place of a template is a column, whatever the column is called."""

from __future__ import annotations

from typing import Any

import pytest

from deepseek_async.batch.cells import EmptyCellError
from deepseek_async.batch.template import Template
from deepseek_async.errors import ConfigurationError


@pytest.mark.parametrize(
    "name",
    ["text", "first name", "review.text", "Q1: why", "[text]", "2024", "größe", "a!b", "x[0]", "a.b:c"],
)
def test_a_column_is_named_as_it_is_called(name: str):
    template = Template(f"<{{{name}}}>", [name, "other"])

    assert template.columns == [name]
    assert template.fill({name: "hi", "other": 1}, "refuse") == "<hi>"


@pytest.mark.parametrize("written", ["text ", " text", "text"])
def test_blanks_around_a_name_do_not_matter_where_one_column_is_meant(written: str):
    assert Template(f"{{{written}}}", [" text ", "b"]).columns == [" text "]
    assert Template("{text}", ["text", "text "]).columns == ["text"]


@pytest.mark.parametrize(
    ("template", "row", "prompt"),
    [
        ("{a[b]}", {"a": {"b": "x"}}, "x"),
        ("{a[b]}", {"a": {"b": 5.0}}, "5"),
        ("{n:.1f} {n:>{w}}", {"n": 5, "w": 3}, "5.0   5"),
        ("{n!r}", {"n": "x"}, "'x'"),
        ("{a} {b} {c[d]} {e}", {"a": True, "b": False, "c": {"d": True}, "e": [True]}, "true false true [true]"),
        ("{a}", {"a": "True"}, "True"),
        ("{{{n}}} {{", {"n": "{x}"}, "{{x}} {"),
    ],
)
def test_other_places_are_those_of_pythons_format_strings(template: str, row: dict[str, Any], prompt: str):
    assert Template(template).fill(row, "refuse") == prompt


@pytest.mark.parametrize(
    ("template", "row"),
    [("{a[b]}", {"a": None}), ("{a[b]}", {"a": {"b": None}}), ("{a.b:.2f}", {"a": float("nan")}), ("{a:d}", {"a": ""})],
)
def test_a_null_has_no_fields_and_no_form(template: str, row: dict[str, Any]):
    with pytest.raises(EmptyCellError, match="the column 'a' is") as caught:
        Template(template).fill(row, "refuse")
    assert caught.value.column == "a"
    assert Template(f"<{template}>").fill(row, "send") == "<>"


@pytest.mark.parametrize("text", ["{}", "{0}", "{1} {a}"])
def test_a_place_without_a_name_is_refused_where_columns_cannot_be_called_so(text: str):
    with pytest.raises(ConfigurationError, match="an unnamed placeholder"):
        Template(text).check_names()
