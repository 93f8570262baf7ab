"""JSON Schema of a Python class, and its conversion to DeepSeek's strict mode. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.python_types import Shape
from deepseek_async.codec.schema_shape import SchemaShape
from deepseek_async.errors import InvalidRequestError

_REFERENCE: Final = "#/$defs/"

_NOT_STRICT: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "default"})
"""Keywords that strict mode rejects (DeepSeek docs, Function Calling guide); a default is meaningless where every
property is required."""
_STRICT_FORMATS: Final = frozenset({"email", "hostname", "ipv4", "ipv6", "uuid"})


def object_schema(shape: Shape | SchemaShape) -> dict[str, Any]:
    """Return the JSON Schema of an answer, an object at the top level. Raises InvalidRequestError if it is not one."""
    name, schema = shape.name, shape.schema
    if "$ref" in schema and "$defs" in schema:
        definitions = dict(schema["$defs"])
        target = schema["$ref"].removeprefix(_REFERENCE)
        schema = {**definitions[target]}
        if _is_referred_to(target, definitions):
            schema["$defs"] = definitions
        elif len(definitions) > 1:
            schema["$defs"] = {key: value for key, value in definitions.items() if key != target}
    if schema.get("type") != "object":
        raise InvalidRequestError(f"{name} must be a JSON object at the top level to be an answer; wrap it in a class")
    return schema


def _is_referred_to(name: str, value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("$ref") == _REFERENCE + name or any(_is_referred_to(name, item) for item in value.values())
    return isinstance(value, list) and any(_is_referred_to(name, item) for item in value)


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``schema`` for strict mode: every property required, none additional, no bounds on lengths.

    The bounds are checked when the answer is decoded. Raises InvalidRequestError for what strict mode cannot express:
    objects with arbitrary keys, tuples.
    """
    strict: dict[str, Any] = _strict(dict(schema), "", schema.get("$defs", {}))
    return strict


def _strict(value: Any, path: str, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for keyword, item in value.items():
        where = f"{path}.{keyword}" if path else keyword
        if keyword in {"properties", "$defs"}:
            made[keyword] = {name: _strict(nested, f"{where}.{name}", definitions) for name, nested in item.items()}
        elif keyword in {"anyOf", "oneOf"}:
            made["anyOf"] = [
                _strict(_in_place(option, where, definitions), f"{where}[{index}]", definitions)
                for index, option in enumerate(item)
            ]
        elif keyword == "items":
            made[keyword] = _strict(item, where, definitions)
        elif keyword == "prefixItems" or (keyword == "additionalProperties" and isinstance(item, dict)):
            raise InvalidRequestError(
                f"strict mode does not support {'tuples' if keyword == 'prefixItems' else 'objects with free keys'} "
                f"({where}); use the method 'json'",
            )
        elif keyword not in _NOT_STRICT and keyword != "discriminator":
            made[keyword] = item
    if made.get("format") not in _STRICT_FORMATS:
        made.pop("format", None)
    if made.get("type") == "object":
        made["properties"] = made.get("properties", {})
        made["required"] = list(made["properties"])
        made["additionalProperties"] = False
    elif made.keys().isdisjoint({"type", "anyOf", "$ref"}):
        _name_type(made, path)
    return made


def _holds_itself(name: str, definitions: Mapping[str, Any]) -> bool:
    """Whether the type of that name refers to itself, directly or indirectly."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        at = waiting.pop()
        if _is_referred_to(name, definitions[at]):
            return True
        seen.add(at)
        waiting += [other for other in definitions if other not in seen and _is_referred_to(other, definitions[at])]
    return False


def _in_place(option: Any, path: str, definitions: Mapping[str, Any]) -> Any:
    """Return an option of a union with its reference inlined, as strict mode requires."""
    if not isinstance(option, dict) or "$ref" not in option:
        return option
    name = option["$ref"].removeprefix(_REFERENCE)
    if _holds_itself(name, definitions):
        raise InvalidRequestError(f"strict mode does not support recursive unions ({path}); use the method 'json'")
    return definitions[name]


_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _name_type(made: dict[str, Any], path: str) -> None:
    """Add the type that strict mode requires beside ``enum`` and ``const``."""
    values = made.get("enum", [made["const"]] if "const" in made else [])
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or next(iter(kinds)) not in _JSON_TYPES:
        raise InvalidRequestError(f"strict mode requires one type at {path or 'the top level'}; use the method 'json'")
    made["type"] = _JSON_TYPES[kinds.pop()]
