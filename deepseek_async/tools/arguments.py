"""The arguments of a function: their schema from its signature, and their values from what a model writes."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from deepseek_async.codec.loose_json import found
from deepseek_async.codec.shape import Shape, flat, holds_pydantic, problem_of
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types.json_text import write

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOTHING: Final = frozenset({"", "null"})
"""What models write for the arguments of a function that has none."""

_MIDNIGHT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?")


class Arguments:
    """Reads the arguments of a function. ``said`` describes its parameters.

    Raises InvalidRequestError for a function whose arguments JSON cannot carry.
    """

    def __init__(self, function: Callable[..., Any], name: str, said: dict[str, str]) -> None:
        self._foreign: dict[str, Shape] = {}
        """Parameters that pydantic reads."""
        fields: list[Any] = []
        shown: dict[str, dict[str, Any]] = {}
        for parameter, hint in _parameters(function, name):
            facts: dict[str, Any] = {"description": said[parameter.name]} if said.get(parameter.name) else {}
            optional = parameter.default is not inspect.Parameter.empty
            if optional and isinstance(parameter.default, bool | int | float | str):
                facts["default"] = parameter.default
            kind = hint
            if holds_pydantic(hint):
                shape = self._foreign[parameter.name] = Shape(hint)
                shown[parameter.name] = {**shape.schema, **facts}
                kind = Raw
            elif facts:
                default = {"default": facts["default"]} if "default" in facts else None
                kind = Annotated[hint, Meta(description=facts.get("description"), extra_json_schema=default)]
            fields.append((parameter.name, kind | UnsetType, UNSET) if optional else (parameter.name, kind))
        try:
            made = msgspec.defstruct(name.replace("-", "_"), fields, kw_only=True, forbid_unknown_fields=True)
            shape = Shape(made)
        except (TypeError, InvalidRequestError) as error:
            raise InvalidRequestError(f"{name}() has a parameter of a type that JSON cannot carry: {error}") from None
        self._decode, self._decode_loosely = shape.decode, shape.decode_loosely
        self._names = frozenset(made.__struct_encode_fields__)
        self.schema: dict[str, Any] = _described(shape.schema, shown)
        """An object with one property for each parameter."""

    def decode(self, text: str) -> dict[str, Any]:
        """The arguments by name. Raises msgspec.DecodeError for what does not fit, or is given twice."""
        text = text.strip()
        text = "{}" if text in _NOTHING else text
        try:
            decoded = self._decode(text)
            json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            decoded = self._decoded_loosely(text)
            if decoded is None:
                raise error  # noqa: TRY201  what is wrong with it as it stands is what the model is told
        given = {name: getattr(decoded, name) for name in decoded.__struct_fields__}
        given = {name: value for name, value in given.items() if value is not UNSET}
        for name, shape in self._foreign.items():
            if name in given:
                try:
                    given[name] = shape.decode(bytes(given[name]))
                except Exception as error:
                    raise msgspec.ValidationError(f"{name}: {problem_of(error)}") from error
        return given

    def _decoded_loosely(self, text: str) -> Any:
        """What models write instead of what fits, where there is no doubt about what they mean; else None.

        A number or a switch as a text, a day with a midnight, an argument that the function does not have.
        """
        with suppress(ValueError, RecursionError):
            arguments = found(text, _once)
            known = {name: _day(value) for name, value in arguments.items() if name in self._names}
            for days in (arguments, known):
                with suppress(ValueError):
                    return self._decode_loosely(write({name: days[name] for name in known}))
        return None


def _day(value: Any) -> Any:
    """A day alone, for one with a time that is its beginning."""
    return value[:10] if isinstance(value, str) and _MIDNIGHT.fullmatch(value) else value


def _parameters(function: Callable[..., Any], name: str) -> list[tuple[inspect.Parameter, Any]]:
    """The parameters, each with its type."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(_annotated(function), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"the types of {name}() cannot be read: {error}") from None
    for parameter in signature.parameters.values():
        if parameter.kind in _VARIADIC or parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidRequestError(
                f"{name}() has the parameter {parameter}, which cannot be given by name; the model gives every "
                "argument by name",
            )
    return [(parameter, hints.get(parameter.name, Any)) for parameter in signature.parameters.values()]


def _annotated(function: Callable[..., Any]) -> Any:
    """What carries the annotations: the function, or the ``__call__`` of an object."""
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return getattr(function, "func", None) or type(function).__call__


def _described(schema: dict[str, Any], shown: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of the struct of all arguments, with what ``shown`` says of some in place of its own."""
    definitions = dict(schema["$defs"])
    made = dict(definitions.pop(schema["$ref"].rpartition("/")[2]))
    made.pop("title", None)
    made["properties"] = {**made["properties"], **shown}
    return flat({**made, "$defs": definitions} if definitions else made)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two arguments of one name is meant is a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise msgspec.ValidationError(f"{doubled!r} is given twice in one object; give it once")
    return found
