"""Arguments of a tool function: JSON Schema from its signature, decoding of the model's JSON."""

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
from deepseek_async.codec.python_types import Shape, flat, holds_pydantic, problem_of
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types.json_text import write

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOTHING: Final = frozenset({"", "null"})
"""Arguments that models send for a function without parameters."""

_MIDNIGHT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?")


class Arguments:
    """Schema and decoder of a function's arguments. ``said`` describes its parameters.

    Raises InvalidRequestError for parameters whose type JSON cannot represent.
    """

    def __init__(self, function: Callable[..., Any], name: str, said: dict[str, str]) -> None:
        self._foreign: dict[str, Shape] = {}
        """Parameters decoded by pydantic."""
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
            raise InvalidRequestError(f"{name}() has a parameter type that JSON cannot represent: {error}") from None
        self._decode, self._decode_loosely = shape.decode, shape.decode_loosely
        self._names = frozenset(made.__struct_encode_fields__)
        self.schema: dict[str, Any] = _described(shape.schema, shown)
        """JSON Schema of an object with one property per parameter."""

    def decode(self, text: str) -> dict[str, Any]:
        """Return the arguments by name. Raises msgspec.DecodeError for invalid or duplicate ones."""
        text = text.strip()
        text = "{}" if text in _NOTHING else text
        try:
            decoded = self._decode(text)
            json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            decoded = self._decoded_loosely(text)
            if decoded is None:
                raise error  # noqa: TRY201  the model is sent the error of the strict decoding
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
        """Decode unambiguous deviations from the schema; None if there are others.

        Accepts numbers and booleans as strings, a date with a midnight time, and arguments the function does not have.
        """
        with suppress(ValueError, RecursionError):
            arguments = found(text, _once)
            known = {name: _day(value) for name, value in arguments.items() if name in self._names}
            for days in (arguments, known):
                with suppress(ValueError):
                    return self._decode_loosely(write({name: days[name] for name in known}))
        return None


def _day(value: Any) -> Any:
    """Return the date of a timestamp at midnight."""
    return value[:10] if isinstance(value, str) and _MIDNIGHT.fullmatch(value) else value


def _parameters(function: Callable[..., Any], name: str) -> list[tuple[inspect.Parameter, Any]]:
    """Return the parameters with their types."""
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(_annotated(function), include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"cannot resolve the type annotations of {name}(): {error}") from None
    for parameter in signature.parameters.values():
        if parameter.kind in _VARIADIC or parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidRequestError(
                f"{name}() has the parameter {parameter}, which cannot be passed by keyword; the model passes every "
                "argument by keyword",
            )
    return [(parameter, hints.get(parameter.name, Any)) for parameter in signature.parameters.values()]


def _annotated(function: Callable[..., Any]) -> Any:
    """Return the object with the annotations: the function, or the ``__call__`` of an object."""
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return getattr(function, "func", None) or type(function).__call__


def _described(schema: dict[str, Any], shown: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of all arguments, with the schemas in ``shown`` replaced."""
    definitions = dict(schema["$defs"])
    made = dict(definitions.pop(schema["$ref"].rpartition("/")[2]))
    made.pop("title", None)
    made["properties"] = {**made["properties"], **shown}
    return flat({**made, "$defs": definitions} if definitions else made)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Reject duplicate argument names: which one is meant would be a guess."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise msgspec.ValidationError(f"{doubled!r} occurs twice in one object; pass it once")
    return found
