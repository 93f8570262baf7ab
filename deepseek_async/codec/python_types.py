"""JSON Schema and decoder of a Python type: built-in, msgspec and pydantic. Pure."""

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
    """A Python type as a JSON format.

    Types that contain pydantic types are decoded by pydantic, so that its validators and aliases apply; all others, and
    those that need both (e.g. a TypedDict of models), by msgspec. Raises InvalidRequestError for a type that JSON
    cannot represent.
    """

    def __init__(self, kind: Any) -> None:
        self.name: str = getattr(kind, "__name__", None) or repr(kind)
        self.schema: dict[str, Any]
        """The JSON Schema, with its definitions under ``$defs``."""
        self.decode: Callable[[str | bytes], Any]
        """Decode a text. Raises ValueError if it does not fit, and the exceptions of the type's own checks."""
        self.decode_loosely: Callable[[str | bytes], Any]
        """Like ``decode``, but also accepts numbers and booleans as strings, and 5.0 for 5."""
        try:
            adapter = _adapter(kind) if holds_pydantic(kind) else None
            if adapter is not None:
                self.schema, self.decode = adapter.json_schema(), adapter.validate_json
                self.decode_loosely = self.decode  # pydantic is lenient by default, unless the type is strict
            else:
                self.schema = flat(msgspec.json.schema(kind, schema_hook=_foreign_schema))
                self.decode = msgspec.json.Decoder(kind, dec_hook=_foreign_value).decode
                self.decode_loosely = msgspec.json.Decoder(kind, dec_hook=_foreign_value, strict=False).decode
        except Exception as error:  # noqa: BLE001  a class may raise anything
            what = str(error).split("\n\n", 1)[0]
            raise InvalidRequestError(f"cannot derive a JSON Schema from {self.name}: {what}") from None


def holds_pydantic(kind: Any) -> bool:
    """Whether ``kind`` contains pydantic types."""
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
    """Return pydantic's adapter of ``kind``; None if it contains types that only msgspec supports.

    pydantic is already imported if such a type exists.
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
    """Cached adapter: building it takes a thousand times as long as decoding with it."""
    return _adapter(kind)


def _foreign_schema(kind: Any) -> dict[str, Any]:
    """Return the schema of a type unknown to msgspec."""
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    if not holds_pydantic(kind):
        raise NotImplementedError
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


def _foreign_value(kind: Any, value: Any) -> Any:
    """Decode a value of a type unknown to msgspec."""
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return kind(value)
    if not holds_pydantic(kind):
        raise NotImplementedError
    try:
        return _adapter_of_class(kind).validate_json(msgspec.json.encode(value))
    except Exception as error:
        raise ValueError(problem_of(error)) from error


def problem_of(error: Exception) -> str:
    """Return the problem with a value, in one line."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    listed = getattr(error, "errors", None)
    if _is_of_pydantic(type(error)) or type(error).__module__.startswith("pydantic_core"):
        parts = [(".".join(map(str, one["loc"])), one["msg"]) for one in listed(include_url=False)] if listed else []
        return "; ".join(f"{place}: {message}" if place else message for place, message in parts) or str(error)
    return f"{type(error).__name__}: {error}"


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Return ``schema`` with all definitions at the top level, where references point."""
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
            raise TypeError(f"two types have the name {name}")
    return {name: _without_definitions(item, definitions) for name, item in value.items() if name != "$defs"}
