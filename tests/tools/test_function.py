"""Functions described to the model, and called with what it says."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from deepseek_async import FunctionTool, InvalidRequestError
from deepseek_async.lint.schemas import parameters_problem
from deepseek_async.tools.docstring import described


@dataclass
class Place:
    name: str
    country: str = "NO"


async def weather(
    place: Place,
    days: Annotated[int, Meta(ge=1, le=7)] = 1,
    unit: Literal["celsius", "kelvin"] = "celsius",
) -> dict[str, Any]:
    """Tell the weather.

    In as few words as possible.

    Args:
        place: Where,
            exactly.
        days (int): How many days ahead.

    Returns:
        What it will be.
    """
    return {"place": place.name, "days": days, "unit": unit}


def test_signature_and_docstring_describe_the_function():
    function = FunctionTool(weather).definition["function"]

    assert function["name"] == "weather"
    assert function["description"] == "Tell the weather.\n\nIn as few words as possible."
    parameters = function["parameters"]
    assert parameters["required"] == ["place"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["days"] == {
        "type": "integer", "minimum": 1, "maximum": 7, "description": "How many days ahead.", "default": 1,
    }  # fmt: skip
    assert parameters["properties"]["unit"] == {"enum": ["celsius", "kelvin"], "default": "celsius"}
    assert "Where, exactly." in json.dumps(parameters["properties"]["place"])
    assert parameters_problem(parameters) is None


async def test_arguments_become_the_types_of_the_signature():
    tool = FunctionTool(weather)

    assert json.loads(await tool.answer('{"place": {"name": "Oslo"}}')) == {
        "place": "Oslo", "days": 1, "unit": "celsius",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    ["", "{}", "{", "[]", '{"place": "Oslo"}', '{"place": {"name": "x"}, "days": 9}', '{"place": {"name": 1}}',
     '{"place": {"name": "x"}, "days": "nine"}', '{"place": {"name": "x"}}{"place": {"name": "y"}}'],
)  # fmt: skip
async def test_arguments_that_do_not_fit_are_refused_before_the_call(arguments: str):
    with pytest.raises(msgspec.DecodeError):
        await FunctionTool(weather).answer(arguments)


def told(number: int, switch: bool = False, day: date | None = None, text: str = "") -> list[Any]:
    return [number, switch, day, text]


SLIPS = {
    '{"number": "5"}': [5, False, None, ""],
    '{"number": 5.0}': [5, False, None, ""],
    '{"number": 5, "switch": "true"}': [5, True, None, ""],
    '{"number": 5, "day": "2026-01-02T00:00:00"}': [5, False, "2026-01-02", ""],
    '{"number": "5", "text": "2026-01-02T00:00:00"}': [5, False, None, "2026-01-02T00:00:00"],
    '{"number": 5, "note": "x"}': [5, False, None, ""],
    '{"number": 5,}': [5, False, None, ""],
    '{"number": 5, "text": "a\nb"}': [5, False, None, "a\nb"],
}


@pytest.mark.parametrize("arguments", SLIPS)
async def test_slips_of_a_model_that_leave_no_doubt_cost_no_turn(arguments: str):
    assert json.loads(await FunctionTool(told).answer(arguments)) == SLIPS[arguments]


async def test_a_day_with_an_hour_is_not_taken_for_the_day():
    with pytest.raises(msgspec.DecodeError, match="day"):
        await FunctionTool(told).answer('{"number": 5, "day": "2026-01-02T13:00:00"}')


async def test_a_function_that_is_not_async_does_not_hold_the_loop():
    here = threading.get_ident()

    def where() -> int:
        return threading.get_ident()

    assert await FunctionTool(where).answer("{}") != str(here)


class Counter:
    def __init__(self) -> None:
        self.total = 0

    def add(self, number: int) -> int:
        """Add."""
        self.total += number
        return self.total

    async def __call__(self, number: int) -> int:
        return self.add(number)


async def test_methods_callable_objects_and_partials_are_functions():
    counter = Counter()
    assert await FunctionTool(counter.add).answer('{"number": 2}') == "2"
    assert await FunctionTool(counter, name="count").answer('{"number": 2}') == "4"
    add = functools.partial(counter.add)
    assert await FunctionTool(add, name="add").answer('{"number": 3}') == "7"


@pytest.mark.parametrize(
    ("result", "text"),
    [("plain", "plain"), (None, "null"), ({"a": 1}, '{"a":1}'), (Place("Oslo"), '{"name":"Oslo","country":"NO"}'),
     ([1, 2], "[1,2]"), (1.5, "1.5")],
)  # fmt: skip
async def test_what_a_function_returns_goes_back_as_text(result: Any, text: str):
    async def give() -> Any:
        return result

    assert await FunctionTool(give).answer("") == text


async def test_an_object_that_json_does_not_know_goes_back_as_its_text():
    async def give() -> Any:
        return complex(1, 2)

    assert await FunctionTool(give).answer("{}") == "(1+2j)"


def takes_more(*numbers: int) -> None: ...
def takes_any(**names: int) -> None: ...
def takes_position(number: int, /) -> None: ...
def takes_loop(loop: asyncio.AbstractEventLoop) -> None: ...
def takes_unknown(x: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("function", [takes_more, takes_any, takes_position, takes_loop, takes_unknown, lambda x: x])
def test_a_function_that_cannot_be_described_is_refused(function: Any):
    with pytest.raises(InvalidRequestError):
        FunctionTool(function)


@pytest.mark.parametrize(
    "docstring",
    [
        "Do it.\n\nArgs:\n    a: First.\n    b (str, optional): Second\n        line.\n",
        "Do it.\n\n:param a: First.\n:param str b: Second\n    line.\n:returns: it\n",
        (
            "Do it.\n\nParameters\n----------\na : int\n    First.\nb : str, optional\n"
            "    Second\n    line.\n\nReturns\n-------\nint\n"
        ),
    ],
    ids=["google", "sphinx", "numpy"],
)
def test_three_forms_of_docstrings_are_read(docstring: str):
    assert described(docstring) == ("Do it.", {"a": "First.", "b": "Second line."})


@given(st.text(alphabet=st.sampled_from(list(":abAr-\n\t (gsP)")), max_size=80))
def test_any_docstring_is_read(docstring: str):
    text, parameters = described(docstring)
    assert len(text) <= len(docstring.expandtabs())
    assert all(isinstance(said, str) for said in parameters.values())
