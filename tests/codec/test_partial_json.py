"""Objects that grow while their JSON arrives: each is a prefix of the final one, of the right types, in linear time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from deepseek_async.codec.partial_json import PartialReader
from deepseek_async.codec.partial_types import growth_of

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=5)


def is_prefix(part: Any, whole: Any) -> bool:
    """Whether ``part`` is ``whole`` with its end cut off, in texts, lists and objects at every level."""
    if isinstance(whole, dict):
        names = list(part) if isinstance(part, dict) else [None]
        return names == list(whole)[: len(names)] and all(
            is_prefix(part[name], whole[name]) if name == names[-1] else part[name] == whole[name] for name in names
        )
    if isinstance(whole, list):
        return isinstance(part, list) and all(
            is_prefix(item, whole[at]) if at == len(part) - 1 else item == whole[at] for at, item in enumerate(part)
        )
    if isinstance(whole, str):
        return isinstance(part, str) and whole.startswith(part)
    return type(part) is type(whole) and part == whole


def grown(text: str, sizes: Sequence[int], kind: Any = dict[str, Any]) -> list[Any]:
    """What is to be seen after each piece of ``text``."""
    reader = PartialReader(growth_of(kind))
    seen, at = [], 0
    for size in [*sizes, len(text)]:
        reader.feed(text[at : at + size])
        at += size
        seen.append(reader.partial())
    return seen


@settings(max_examples=40, deadline=None)
@given(objects, st.lists(st.integers(1, 9), max_size=60), st.booleans(), st.sampled_from([None, 2]))
def test_every_prefix_gives_a_prefix(value: dict[str, Any], sizes: list[int], ascii_only: bool, indent: int | None):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    for part in grown(text, sizes):
        assert part is None or is_prefix(part, value)
    assert grown(text, sizes)[-1] == value
    assert grown(text, [1] * len(text))[-1] == value


@settings(max_examples=20, deadline=None)
@given(objects, st.sampled_from(["", "```json\n", "<think>{no}</think> ", "Here it is: ", "\ufeff", " \n"]))
def test_what_stands_around_the_object_is_passed_over(value: dict[str, Any], before: str):
    text = before + json.dumps(value) + "\n```"
    assert grown(text, [1] * len(text))[-1] == value


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='{}[]",:\\ue0-1.truefalsn \n', max_size=60))
def test_what_is_no_json_raises_nothing(text: str):
    for part in grown(text, [1] * len(text)):
        assert part is None or isinstance(part, dict)


def test_earlier_ones_do_not_change():
    text = json.dumps({"a": {"b": ["one", "two", {"c": "three"}]}, "d": "four"})
    seen: list[tuple[Any, str]] = []
    reader = PartialReader()
    for letter in text:
        if reader.feed(letter):
            part = reader.partial()
            seen.append((part, json.dumps(part)))
    assert len(seen) > 20
    assert all(json.dumps(part) == said for part, said in seen)


class Colour(Enum):
    RED = "red"
    REDDISH = "reddish"


T = TypeVar("T")


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int
    label: str = msgspec.field(name="Label", default="none")

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    content: T
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.content is not None


class Note(TypedDict, total=False):
    text: str
    stars: Optional[int]  # noqa: UP045


class Corner(BaseModel, frozen=True):
    x: int
    label: str = Field("none", validation_alias="Label")


class Whole(BaseModel):
    title: str = Field(alias="Title", min_length=5)
    when: date
    colour: Colour
    kind: Literal["a", "ab"]
    number: float
    either: int | str
    point: Corner | None = None
    boxes: Annotated[list[Box[Note]], Field(min_length=1)]
    notes: dict[str, Note]
    pair: tuple[int, str]
    many: tuple[str, ...] = ()
    parent: "Whole | None" = None  # noqa: UP037
    extra: Any = None

    @field_validator("title")
    @classmethod
    def shout(cls, title: str) -> str:
        if not title.endswith("!"):
            raise ValueError("must end with !")
        return title


WHOLE = {
    "Title": "A long title!",
    "when": "2026-11-28",
    "colour": "reddish",
    "kind": "ab",
    "number": 12.5,
    "either": "text",
    "point": {"x": 17, "Label": "here"},
    "boxes": [{"content": {"text": "hello", "stars": None}, "tags": ["x", "yz"]}, {"content": {"stars": 3}}],
    "notes": {"first": {"text": "abc"}},
    "pair": [1, "b"],
    "many": ["m", "n"],
    "extra": {"any": [1, "thing"]},
    "parent": None,
}


def test_fields_have_their_types_or_none_and_nothing_runs_the_class_s_own_checks():
    text = json.dumps(WHOLE)
    seen = [part for part in grown(text, [1] * len(text), Whole) if part is not None]
    titles = [part.title for part in seen]
    assert titles[0] is None
    assert {*titles} > {"A", "A lo", "A long title!"}
    for part in seen:
        assert isinstance(part, Whole)
        assert part.title is None or WHOLE["Title"].startswith(part.title)  # type: ignore[attr-defined]
        assert part.when in (None, date(2026, 11, 28))
        assert part.colour in (None, Colour.REDDISH)
        assert part.kind in (None, "ab")
        assert part.number in (None, 12.5)
        assert part.either in (None, "text")
        assert part.pair in (None, (1, "b"))
        assert part.many is None or part.many in ((), ("",), ("m",), ("m", ""), ("m", "n"))
        if part.point is not None:
            assert isinstance(part.point, Corner)
            assert part.point.x in (None, 17)
            assert (part.point.label or "here").startswith(("h", "", "none"))
        for box in part.boxes or ():
            assert isinstance(box, Box)
            assert box.content is None or set(box.content) <= {"text", "stars"}
            assert box.content is None or box.content.get("stars") in (None, 3)
    last = seen[-1]
    final = Whole.model_validate_json(text)
    assert last == final
    assert last.boxes[1].tags == []  # an object that has ended has its defaults
    assert last.model_dump() == final.model_dump()


class Chain(msgspec.Struct):
    text: str
    next: "Chain | None" = None  # noqa: UP037
    points: list[Point] = []


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Chain, '{"text":"a","next":{"text":"b"},"points":[{"x":1}]}', Chain("a", Chain("b"), [Point(1)])),
        (Box[int], '{"content":5,"unknown":{"a":[1]}}', Box(5)),
        (Note, '{"text":"a","stars":null}', {"text": "a", "stars": None}),
        (Note, '{"text":7,"stars":"3","text":"x"}', {"text": "x", "stars": 3}),
        (dict[str, list[int | None]], '{"a":[1,null,2]}', {"a": [1, None, 2]}),
        (Chain, '{"text":["no"],"next":4,"points":{}}', None),
        ({"type": "object"}, '{"a":[{"b":"c"}]}', {"a": [{"b": "c"}]}),
    ],
)
def test_types_of_every_library_grow(kind: Any, text: str, value: Any):
    last = grown(text, [1] * len(text), kind)[-1]
    if value is not None:
        assert json.dumps(plain(last), sort_keys=True) == json.dumps(plain(value), sort_keys=True)
        assert isinstance(last, type(value))
    else:
        assert (last.text, last.next) == (None, None)


def plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def test_an_object_with_a_wrong_field_is_partial_without_it():
    last = grown('{"Title":"x","when":"yesterday","number":"much","colour":"green"', [3] * 40, Whole)[-1]
    assert (last.title, last.when, last.number, last.colour) == ("x", None, None, None)


def test_depth_is_bounded():
    text = '{"a":' * 10_000
    reader = PartialReader()
    reader.feed(text)
    assert json.dumps(reader.partial())


def work(size: int, make: Any, kind: Any) -> int:
    """Objects and characters that are copied while ``size`` parts arrive in pieces of four characters."""
    text = make(size)
    reader = PartialReader(growth_of(kind))
    done = 0
    for at in range(0, len(text), 4):
        if reader.feed(text[at : at + 4]):
            before = reader._credit
            reader.partial()
            done += before - reader._credit
    return done


@pytest.mark.parametrize(
    "make",
    [
        lambda size: json.dumps({"a": "x" * size * 20}),
        lambda size: json.dumps({"a": ["text"] * size * 2}),
        lambda size: json.dumps({str(number): 1 for number in range(size * 2)}),
    ],
    ids=["text", "list", "object"],
)
def test_work_is_linear_in_the_length(make: Any):
    small, large = work(250, make, dict), work(2_000, make, dict)
    assert large < 8 * 1.3 * small


def test_an_ordinary_answer_is_seen_piece_by_piece():
    text = json.dumps({"title": "A title", "body": "Some text of a page. " * 60})
    reader = PartialReader()
    shown = sum(reader.feed(text[at : at + 4]) and reader.partial() is not None for at in range(0, len(text), 4))
    assert shown > 0.6 * len(text) / 4
