"""Types of Python, msgspec and pydantic as JSON, inside one another."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Field, field_validator

from deepseek_async import FunctionTool, InvalidRequestError
from deepseek_async.codec.python_types import Shape, problem_of

T = TypeVar("T")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=0, le=9)


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(alias="called")


class Page(BaseModel, Generic[T]):
    items: list[T]


class Tree(BaseModel):
    cat: Cat
    branches: list[Tree] = []


@dataclass
class Owner:
    cat: Cat


@dataclass
class Bounded:
    stars: Annotated[int, Field(ge=1, le=5)] = 3


class Kennel(TypedDict):
    dog: Dog


class Home(msgspec.Struct):
    cat: Cat
    kennel: Kennel | None = None


@pydantic.dataclasses.dataclass
class Checked:
    stars: int = Field(gt=0, le=5)


class Colour(Enum):
    RED = "red"


CAT, DOG = {"kind": "cat", "lives": 9}, {"kind": "dog", "called": "Rex"}
BAD_CAT = {"kind": "cat", "lives": 10}
SHAPES: list[tuple[Any, Any, Any]] = [
    (Cat, CAT, BAD_CAT),
    (list[Cat], [CAT], [BAD_CAT]),
    (dict[str, Cat], {"a": CAT}, {"a": BAD_CAT}),
    (tuple[Cat, int], [CAT, 1], [CAT]),
    (Cat | None, CAT, BAD_CAT),
    (Cat | Dog, DOG, BAD_CAT),
    (Cat | Dog | None, DOG, 5),
    (Annotated[Cat | Dog, Field(discriminator="kind")], DOG, {"kind": "cow"}),
    (Annotated[int, Field(ge=1)], 1, 0),
    (list[Annotated[str, Field(max_length=2)]], ["ab"], ["abc"]),
    (Page[Cat], {"items": [CAT]}, {"items": [BAD_CAT]}),
    (Page[Owner], {"items": [{"cat": CAT}]}, {"items": [{"cat": BAD_CAT}]}),
    (Tree, {"cat": CAT, "branches": [{"cat": CAT}]}, {"cat": CAT, "branches": [{"cat": BAD_CAT}]}),
    (Owner, {"cat": CAT}, {"cat": BAD_CAT}),
    (Bounded, {"stars": 5}, {"stars": 6}),
    (Kennel, {"dog": DOG}, {"dog": CAT}),
    (list[Kennel], [{"dog": DOG}], [{"dog": CAT}]),
    (Home, {"cat": CAT, "kennel": {"dog": DOG}}, {"cat": CAT, "kennel": {"dog": CAT}}),
    (Checked, {"stars": 3}, {"stars": 9}),
    (Path, "/tmp", 1),
    (Colour, "red", "blue"),
]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def assert_references_lead_somewhere(schema: dict[str, Any]) -> None:
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]
    assert "$defs" not in json.dumps([item for name, item in schema.items() if name != "$defs"]).replace("#/$defs/", "")


@pytest.mark.parametrize(("kind", "value", "wrong"), SHAPES, ids=lambda one: getattr(one, "__name__", None))
def test_a_type_has_a_schema_and_reads_what_fits_it_and_nothing_else(kind: Any, value: Any, wrong: Any):
    shape = Shape(kind)

    assert_references_lead_somewhere(shape.schema)
    assert shape.decode(json.dumps(value)) is not None
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        shape.decode(json.dumps(wrong))
    assert "pydantic.dev" not in problem_of(caught.value)


@pytest.mark.parametrize(("kind", "value", "wrong"), SHAPES, ids=lambda one: getattr(one, "__name__", None))
async def test_a_type_may_be_that_of_a_parameter(kind: Any, value: Any, wrong: Any):
    taken = []

    async def take(one: Any, other: Any = None) -> None:
        taken.append((one, other))

    take.__annotations__ = {"one": kind, "other": kind, "return": None}
    tool = FunctionTool(take)

    assert_references_lead_somewhere(tool.definition["function"]["parameters"])
    assert tool.definition["function"]["parameters"]["required"] == ["one"]
    await tool.answer(json.dumps({"one": value}))
    await tool.answer(json.dumps({"one": value, "other": value}))
    assert taken == [(Shape(kind).decode(json.dumps(value)), None), (taken[0][0], taken[0][0])]
    with pytest.raises(msgspec.DecodeError):
        await tool.answer(json.dumps({"one": wrong}))


async def test_a_check_of_a_model_may_raise_anything():
    class Picky(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def check(cls, number: int) -> int:
            return {1: 1}[number]

    async def take(picky: Any) -> None: ...

    take.__annotations__ = {"picky": Picky}
    with pytest.raises(msgspec.ValidationError, match="picky: KeyError: 5"):
        await FunctionTool(take).answer('{"picky": {"number": 5}}')


class Unfinished(BaseModel):
    x: NotThere  # type: ignore[name-defined]  # noqa: F821


class Uncallable(BaseModel):
    f: type


@dataclass
class UnfinishedData:
    x: NotThere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("kind", [Unfinished, Uncallable, UnfinishedData, object])
def test_a_type_that_json_cannot_carry_is_refused_by_name(kind: Any):
    with pytest.raises(InvalidRequestError, match=kind.__name__):
        Shape(kind)
