"""JSON that says what the API says in another form, brought into the API's form, field by field. Pure.

The strict decoder refuses a whole answer for one field, and the same server would send the next one in the same form.
So what fits stays as it is; what can be read is read: a number sent as text, a text sent in parts, arguments sent as
an object; and what cannot gets its default. Each is noted. What nobody declared stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from deepseek_async.codec.spelled import holds_more, is_block, is_nothing, parted, text_of, without_blocks
from deepseek_async.types.answer import Answer
from deepseek_async.types.json_text import write
from deepseek_async.types.number_text import number_in
from deepseek_async.types.part import OURS, Counters, counters_in

MOST_NOTES: Final = 20
"""Of one answer. One that is odd throughout would be told longer than it is."""

_MISFIT: Final[Any] = object()
"""In the place of a value that cannot be read."""

_NEEDED: Final = frozenset({"choices", "output", "data", "balance_infos", "results"})
"""What an answer is asked for. Only what says nothing in its place may be taken for nothing."""

_NUMBERS: Final = frozenset({"embedding", "total_balance"})
"""The same, where a default would be a false answer."""

_SAID: Final = frozenset({"content", "reasoning_content", "reasoning", "text", "arguments", "refusal", "delta"})
"""Texts that the model wrote: all of JSON can be read as one."""

_WORDS: Final = frozenset({"type", "object", "role"})
"""Words of the API: a number is none, and the default is the word that fits."""

_ENDINGS: Final = frozenset({"finish_reason", "status"})
"""What says whether an answer is whole. Whatever it is, it is another thing than nothing, and than the default."""

_64_BITS: Final = range(-(2**63), 2**64)


class UnreadableError(ValueError):
    """What the answer was asked for is there, and cannot be read."""


def repaired(loaded: Any, kind: type[msgspec.Struct], notes: list[str]) -> dict[str, Any]:
    """``loaded`` in the form of ``kind``; what was changed is added to ``notes``. What is odd inside stays untouched.

    Raises UnreadableError for what is no object, or does not have what makes it an answer of that kind.
    """
    if not isinstance(loaded, dict):
        raise UnreadableError(f"it is {_kind(loaded)}, no object")
    return _Repair(notes).struct(loaded, kind, "")


def regular(answer: Answer) -> dict[str, Any]:
    """What ``answer`` says, with every field that the server sent, in the API's form."""
    said = answer.to_dict()
    return with_blocks(said, repaired(said, type(answer), [])) if answer.repaired else said


def with_blocks(sent: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """``made``, with the contents that were ``sent`` in parts and have more than text in them, as they were."""
    choices = sent.get("choices")
    came = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    kept = made.get("choices") or []
    for choice, other in zip(came, kept, strict=False) if len(came) == len(kept) else ():
        message = choice.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and holds_more(content):
            other["message"]["content"] = content
    return made


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, inspect.Type], ...]:
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)  # noqa: S101  by the annotation
    return tuple((field.encode_name, field.type) for field in found.fields if not field.encode_name.startswith(OURS))


@cache
def _text_field(kind: type[msgspec.Struct]) -> str | None:
    """The field in which an object of this kind has its text, if it has one."""
    names = dict(_fields(kind))
    return next(
        (name for name in ("content", "text") if isinstance(_options(names.get(name))[0], inspect.StrType)), None
    )


def _options(kind: inspect.Type | None) -> tuple[inspect.Type | None, ...]:
    """The types that a value may have, the first one first; null aside."""
    if isinstance(kind, inspect.UnionType):
        return tuple(each for each in kind.types if not isinstance(each, inspect.NoneType))
    return (kind,)


def _may_be_null(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.UnionType) and any(isinstance(each, inspect.NoneType) for each in kind.types)


class _Repair:
    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def _note(self, path: str, value: Any, became: Any) -> None:
        what = "left out" if became is _MISFIT else f"read as {_kind(became)}"
        note = f"{path}: {_kind(value)}, {what}"
        if len(self._notes) < MOST_NOTES and note not in self._notes:
            self._notes.append(note)

    def struct(self, sent: dict[str, Any], kind: type[msgspec.Struct], path: str) -> dict[str, Any]:
        made = {name: value for name, value in sent.items() if not name.startswith(OURS)}
        if kind.__struct_config__.forbid_unknown_fields:
            made = {name: made[name] for name, _ in _fields(kind) if name in made}
        if isinstance(made.get("content"), list) and _text_field(kind) == "content":
            self._take_apart(made, kind, path)
        for name, declared in _fields(kind):
            if name not in made:
                continue
            value, where = made[name], f"{path}.{name}" if path else name
            if value is None:
                if not _may_be_null(declared):
                    del made[name]
                continue
            fitted = self._field(value, declared, name, where)
            if fitted is _MISFIT:
                del made[name]
            else:
                made[name] = fitted
            if fitted is _MISFIT and (name in _NUMBERS or (name in _NEEDED and value)):
                raise UnreadableError(f"its {where} is {_kind(value)}")
        if "type" in sent and "type" not in made:
            _infer(made, kind)
        return made

    def _take_apart(self, made: dict[str, Any], kind: type[msgspec.Struct], path: str) -> None:
        """A content in parts, some of which may be reasoning, or blocks that are no text."""
        if any(map(is_block, made["content"])):
            texts = without_blocks(made["content"])
            self._note(f"{path}.content", made["content"], _MISFIT if texts is None else "")
            made["content"] = texts
            if texts is None:
                return
        content, reasoning = parted(made["content"])
        if reasoning and made.get("reasoning_content") is None and "reasoning_content" in dict(_fields(kind)):
            self._note(f"{path}.content", made["content"], content or "")
            made["content"], made["reasoning_content"] = content, reasoning

    def _field(self, value: Any, declared: inspect.Type, name: str, path: str) -> Any:
        fitted = self._fit(value, declared, name, path)
        # 1 is True, and 1.0 is 1.
        if fitted is not value and not (type(fitted) is type(value) and isinstance(value, dict | list)):
            self._note(path, value, fitted)
        return fitted

    def _fit(self, value: Any, declared: inspect.Type, name: str, path: str) -> Any:
        """``value`` as what is ``declared``; _MISFIT if it cannot be."""
        options = _options(declared)
        if isinstance(options[0], inspect.StrType) and not isinstance(value, str):
            return _text(value, name, optional=_may_be_null(declared))
        for option in sorted(options, key=lambda each: not _is_of(value, each)):
            fitted = self._as(value, option, name, path)
            if fitted is not _MISFIT:
                return fitted
        return _MISFIT

    def _as(self, value: Any, kind: inspect.Type | None, name: str, path: str) -> Any:
        match kind:
            case inspect.StructType():
                return self._object(value, kind.cls, path)
            case inspect.ListType():
                return self._list(value, kind.item_type, name, path)
            case inspect.DictType():
                if not isinstance(value, dict):
                    return _MISFIT
                items = {
                    key: self._fit(item, kind.value_type, name, path) for key, item in value.items() if item is not None
                }
                return {key: item for key, item in items.items() if item is not _MISFIT}
            case inspect.StrType():
                return value if isinstance(value, str) else _MISFIT
            case inspect.IntType() | inspect.FloatType() | inspect.BoolType() | inspect.DecimalType():
                return _SCALARS[type(kind)](value)
            case _:
                return value

    def _object(self, value: Any, kind: type[msgspec.Struct], path: str) -> Any:
        if isinstance(value, dict):
            if issubclass(kind, Counters):
                return self._counters(value, kind, path)
            return self.struct(value, kind, path)
        text = _text_field(kind)
        if isinstance(value, str) and value and text is not None:
            return {text: value}
        return _MISFIT

    def _counters(self, value: dict[str, Any], kind: type[Counters], path: str) -> dict[str, Any]:
        counted = counters_in(value, kind) or {}
        for name, item in value.items():
            if item is not None and counted.get(name) != item:
                self._note(f"{path}.{name}", item, counted.get(name, _MISFIT))
        return counted

    def _list(self, value: Any, member: inspect.Type, name: str, path: str) -> Any:
        of_objects = isinstance(_options(member)[0], inspect.StructType)
        if not isinstance(value, list):
            # One of them, without the list around it.
            if value == {} and of_objects:
                return []
            if not value or not (isinstance(value, str) or _is_one(value, member)):
                return _MISFIT
            value = [value]
        if isinstance(member, inspect.FloatType) and all(type(item) is float for item in value):
            kept = value  # a vector has thousands of them
        else:
            kept = [self._member(item, member, name, f"{path}[{at}]", at) for at, item in enumerate(value)]
        if name == "embedding" and any(item is _MISFIT or item is None for item in kept):
            return _MISFIT  # a vector without one of its numbers is another one
        fitting = [item for item in kept if item is not _MISFIT and (item is not None or _may_be_null(member))]
        # A list that says nothing is one thing, and one of which nothing can be read another.
        return _MISFIT if not fitting and any(item is _MISFIT for item in kept) else fitting

    def _member(self, value: Any, member: inspect.Type, name: str, path: str, at: int) -> Any:
        if value is None:
            return None
        fitted = self._field(value, member, name, path)
        if isinstance(value, dict) and "index" in value and isinstance(fitted, dict) and "index" not in fitted:
            fitted["index"] = at
        return fitted


def _is_one(value: Any, member: inspect.Type) -> bool:
    """Whether ``value`` looks like one of the objects that a list should have."""
    kind = _options(member)[0]
    return (
        isinstance(value, dict)
        and isinstance(kind, inspect.StructType)
        and not value.keys().isdisjoint(dict(_fields(kind.cls)))
    )


def _is_of(value: Any, kind: inspect.Type | None) -> bool:
    """Whether ``value`` is of this kind of JSON already."""
    match kind:
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.FloatType():
            return isinstance(value, float)
        case _:
            return False


def _text(value: Any, name: str, *, optional: bool) -> Any:
    if name in _ENDINGS:
        return write(value).decode()
    if name in _SAID:
        if is_nothing(value, name) and (optional or name != "arguments"):
            return None if optional else ""
        return write(value).decode() if name == "arguments" else text_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or name in _WORDS:
        return _MISFIT
    return str(value)


def _whole(value: Any) -> Any:
    number = _number(value)
    if number is _MISFIT or math.isnan(number) or math.isinf(number) or int(number) not in _64_BITS:
        return _MISFIT
    return value if type(value) is int else int(number)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        value = number_in(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _MISFIT


def _switch(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(word, _MISFIT)


def _money(value: Any) -> Any:
    if isinstance(value, str | int | float) and not isinstance(value, bool) and number_in(str(value)) is not None:
        return str(value)
    return _MISFIT


_SCALARS: Final[dict[type[inspect.Type], Callable[[Any], Any]]] = {
    inspect.IntType: _whole,
    inspect.FloatType: _number,
    inspect.BoolType: _switch,
    inspect.DecimalType: _money,
}


def _infer(made: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """The type of an output item whose own word for it is none, by what only such an item has."""
    if "call_id" not in dict(_fields(kind)):
        return
    if made.get("arguments") is not None:
        made["type"] = "function_call"
    else:
        made["type"] = "reasoning" if "summary" in made else "message"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
