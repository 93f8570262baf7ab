"""What JSON a type stands for: its schema, and the value in a text. For types of Python, msgspec and pydantic. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec

from deepseek_async.errors import InvalidRequestError

_OF_PYDANTIC: Final = ("pydantic", "annotated_types")


class Shape:
    """A type, seen as JSON.

    pydantic reads what has something of pydantic in it, so that its validators and aliases hold; msgspec all else, and
    what only both together can read, as a TypedDict of models. Raises InvalidRequestError for a type that JSON cannot
    carry.
    """

    def __init__(self, kind: Any) -> None:
        self.name: str = getattr(kind, "__name__", None) or repr(kind)
        self.schema: dict[str, Any]
        """The JSON Schema, with what it refers to under ``$defs``."""
        self.decode: Callable[[str | bytes], Any]
        """The value in a text. Raises ValueError for one that does not fit, and what the type's own checks raise."""
        self.decode_loosely: Callable[[str | bytes], Any]
        """The same, also with a number or a switch written as a text, and 5.0 for 5."""
        try:
            adapter = _adapter(kind) if holds_pydantic(kind) else None
            if adapter is not None:
                self.schema, self.decode = adapter.json_schema(), adapter.validate_json
                self.decode_loosely = self.decode  # it does so by itself, where the type does not forbid it
            else:
                self.schema = flat(msgspec.json.schema(kind, schema_hook=_foreign_schema))
                self.decode = msgspec.json.Decoder(kind, dec_hook=_foreign_value).decode
                self.decode_loosely = msgspec.json.Decoder(kind, dec_hook=_foreign_value, strict=False).decode
        except Exception as error:  # noqa: BLE001  a class may be wrong in its own way
            what = str(error).split("\n\n", 1)[0]
            raise InvalidRequestError(f"{self.name} has no JSON Schema: {what}") from None


def holds_pydantic(kind: Any) -> bool:
    """Whether pydantic has a say in how ``kind`` is read."""
    return _holds(kind, [])


def _holds(kind: Any, seen: list[Any]) -> bool:
    if any(kind is one for one in seen):
        return False
    seen.append(kind)
    if hasattr(kind, "__pydantic_core_schema__") or hasattr(kind, "__get_pydantic_core_schema__"):
        return True
    if get_origin(kind) is Annotated:
        marks = [type(mark).__module__ for mark in kind.__metadata__]
        if any(module.split(".")[0] in _OF_PYDANTIC for module in marks):
            return True
    parts = list(get_args(kind.__origin__ if get_origin(kind) is Annotated else kind))
    if get_origin(kind) is Annotated:
        parts.append(kind.__origin__)
    owner = get_origin(kind) if isinstance(get_origin(kind), type) else kind
    if isinstance(owner, type) and (dataclasses.is_dataclass(owner) or hasattr(owner, "__required_keys__")):
        parts += get_type_hints(owner, include_extras=True).values()
        if dataclasses.is_dataclass(owner):
            parts += [type(field.default) for field in dataclasses.fields(owner)]
    elif isinstance(owner, type) and issubclass(owner, msgspec.Struct):
        parts += get_type_hints(owner, include_extras=True).values()
    return any(_holds(part, seen) or _is_of_pydantic(part) for part in parts)


def _is_of_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.split(".")[0] == "pydantic"


def _adapter(kind: Any) -> Any:
    """pydantic's reader of ``kind``; None where that one has parts which only msgspec knows.

    It is imported by whoever has made such a type.
    """
    from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415
    from pydantic.errors import PydanticSchemaGenerationError  # noqa: PLC0415

    try:
        return TypeAdapter(kind)
    except PydanticSchemaGenerationError:
        return None
    except PydanticUserError as error:
        if error.code == "typed-dict-version":
            return None
        raise


@lru_cache(256)
def _adapter_of_class(kind: Any) -> Any:
    """The same, made once: it takes a thousand times as long as reading with it."""
    return _adapter(kind)


def _foreign_schema(kind: Any) -> dict[str, Any]:
    """The schema of a type that msgspec does not know."""
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    if not holds_pydantic(kind):
        raise NotImplementedError
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


def _foreign_value(kind: Any, value: Any) -> Any:
    """A value of a type that msgspec does not know."""
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return kind(value)
    if not holds_pydantic(kind):
        raise NotImplementedError
    try:
        return _adapter_of_class(kind).validate_json(msgspec.json.encode(value))
    except Exception as error:
        raise ValueError(problem_of(error)) from error


def problem_of(error: Exception) -> str:
    """What is wrong with a value, in one line."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    listed = getattr(error, "errors", None)
    if _is_of_pydantic(type(error)) or type(error).__module__.startswith("pydantic_core"):
        parts = [(".".join(map(str, one["loc"])), one["msg"]) for one in listed(include_url=False)] if listed else []
        return "; ".join(f"{place}: {message}" if place else message for place, message in parts) or str(error)
    return f"{type(error).__name__}: {error}"


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` with all definitions at the top, where references look for them."""
    definitions: dict[str, Any] = {}
    top: dict[str, Any] = _without_definitions(schema, definitions)
    return {**top, "$defs": definitions} if definitions else top


def _without_definitions(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_without_definitions(item, definitions) for item in value]
    if not isinstance(value, Mapping):
        return value
    for name, definition in value.get("$defs", {}).items() if isinstance(value.get("$defs"), Mapping) else ():
        found = _without_definitions(definition, definitions)
        if definitions.setdefault(name, found) != found:
            raise TypeError(f"two types are called {name}")
    return {name: _without_definitions(item, definitions) for name, item in value.items() if name != "$defs"}
