"""What the simulator makes up for a schema fits it, as an independent validator sees it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.thoroughness import often

from deepseek_async.simulator.model.schema_values import value_for
from deepseek_async.simulator.model.seeded_random import draw

jsonschema = pytest.importorskip("jsonschema")


def made_for(schema: Any, question: str = "") -> Any:
    value = value_for(schema, draw(7, b"prompt"), question)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    validator.validate(value)
    return value


def sized(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def strings() -> st.SearchStrategy[dict[str, Any]]:
    plain = sized(0, 30).map(lambda size: {"type": "string", "minLength": size[0], "maxLength": size[1]})
    formats = st.sampled_from(["date", "email", "ipv4", "ipv6", "uuid", "time", "date-time"])
    patterns = st.sampled_from(
        [r"^[A-Z]{3}-\d{4}$", r"^(red|green)$", r"\d+", r"^\S+@\S+\.[a-z]{2,}$", r"^[^aeiou]*$", r"^#?[0-9a-fA-F]{6}$"]
    )
    return st.one_of(
        plain,
        formats.map(lambda form: {"type": "string", "format": form}),
        patterns.map(lambda pattern: {"type": "string", "pattern": pattern}),
        st.lists(st.text(max_size=5), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    )


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def bounded(chosen: st.DrawFn) -> dict[str, Any]:
        kind = chosen(st.sampled_from(["integer", "number"]))
        low = chosen(st.integers(-1000, 1000))
        schema: dict[str, Any] = {"type": kind}
        if chosen(st.booleans()):
            schema[chosen(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
        if chosen(st.booleans()):
            schema[chosen(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + chosen(st.integers(12, 99))
        if chosen(st.booleans()):
            schema["multipleOf"] = chosen(st.integers(1, 5))
        return schema

    return bounded()


@st.composite
def objects(chosen: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = chosen(st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if chosen(st.booleans()):
        schema["required"] = chosen(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=4))
        schema["minProperties"] = chosen(st.integers(0, 6))
    elif chosen(st.booleans()):
        schema["additionalProperties"] = False
    return schema


@st.composite
def arrays(chosen: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = chosen(sized(0, 4))
    schema: dict[str, Any] = {"type": "array", "items": chosen(inner), "minItems": low, "maxItems": high}
    if chosen(st.booleans()):
        schema["prefixItems"] = chosen(st.lists(inner, max_size=3))
    return schema


def schemas() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        strings(), numbers(), st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": [1]}, True, {}])
    )

    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        choices = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(objects(inner), arrays(inner), choices.map(lambda found: {"anyOf": found}))

    return st.recursive(leaves, more, max_leaves=8)


QUESTIONS = st.sampled_from(["", "Order 12 of them for Oslo, at 3.5 each, in green", "red", "Set it to -40 in Zürich"])


@settings(max_examples=often(300))
@given(schemas(), QUESTIONS)
def test_a_made_up_value_fits_its_schema_whatever_was_asked(schema: Any, question: str):
    made_for(schema, question)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"type": "integer", "maximum": 8}, "minItems": 4, "uniqueItems": True},
        {"type": "array", "items": {"type": "string", "maxLength": 6}, "minItems": 4, "uniqueItems": True},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
        {
            "$defs": {"A": {"type": "integer", "minimum": 50}},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/A"}},
        },
        {
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
            "$ref": "#/$defs/Node",
        },
        {
            "$defs": {
                "Tree": {
                    "type": "object",
                    "required": ["children", "parent"],
                    "properties": {
                        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                        "parent": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
                    },
                }
            },
            "$ref": "#/$defs/Tree",
        },
        {"type": ["null", "string"]},
        {"type": "object", "patternProperties": {"^n": {"type": "integer"}}, "required": ["n1"]},
        {"type": "object", "additionalProperties": {"type": "integer"}, "required": ["x"], "minProperties": 3},
        {"minimum": 3, "exclusiveMaximum": 3.5},
        {"type": "number", "multipleOf": 0.25, "minimum": 0.3, "maximum": 0.6},
    ],
)
def test_what_schemas_of_tools_say_is_kept_to(schema: Any):
    made_for(schema)


def test_a_value_that_the_question_names_is_taken_where_it_fits():
    unit = {"enum": ["celsius", "fahrenheit"]}
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": unit}}
    made = made_for(schema, "What will the weather in Bergen be like for 3 days, in Fahrenheit?")
    assert made == {"city": "Bergen", "days": 3, "unit": "fahrenheit"}


@pytest.mark.parametrize(
    "schema", [{"type": "string", "pattern": "(?<=x)[", "minLength": 3}, {"$ref": "#/nowhere"}, False]
)
def test_a_schema_that_nothing_can_be_made_of_stops_nothing(schema: Any):
    value_for(schema, draw(7, b"prompt"))
