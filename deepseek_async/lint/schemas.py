"""JSON Schemas of tools: checks for DeepSeek's default and strict modes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

STRICT_TYPES: Final = frozenset({"object", "string", "number", "integer", "boolean", "array", "null"})

UNSUPPORTED_WHEN_STRICT: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
"""Keywords that strict mode rejects (DeepSeek docs, Function Calling guide)."""


def parameters_problem(schema: Any) -> str | None:
    """Return why the ``parameters`` of a non-strict tool would be rejected, or None."""
    if not isinstance(schema, dict):
        return "must be a JSON Schema object"
    if schema.get("type") != "object":
        return f'must have "type": "object", got {schema.get("type")!r}'
    return next(_malformed(schema, ""), None)


def strict_problem(schema: Any) -> str | None:
    """Return why the ``parameters`` of a strict tool would be rejected, or None."""
    problem = next(_unstrict(schema, ""), None)
    if problem is None and schema.get("type") != "object":
        return "must be an object at the top level"
    return problem


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "properties": (dict,),
    "$defs": (dict,),
    "required": (list,),
    "enum": (list,),
    "description": (str,),
    "title": (str,),
    "pattern": (str,),
    "format": (str,),
}
_LISTS_OF_SCHEMAS: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
_SINGLE_SCHEMAS: Final = ("items", "additionalProperties", "not")


def _malformed(schema: Any, path: str) -> Iterator[str]:
    """Yield violations of the meta-schema, as far as common in tools."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"{path or 'schema'} must be a schema: an object or a boolean"
        return
    for keyword, kinds in _KINDS.items():
        if keyword in schema and not isinstance(schema[keyword], kinds):
            yield f"{_at(path, keyword)} has the wrong type"
            return
    kind = schema.get("type")
    if kind is not None and not all(isinstance(one, str) and one in STRICT_TYPES for one in _listed(kind)):
        yield f"{_at(path, 'type')} must be a JSON Schema type"
    required = schema.get("required")
    if required is not None and (
        not all(isinstance(name, str) for name in required) or len(set(required)) != len(required)
    ):
        yield f"{_at(path, 'required')} must be a list of unique property names"
    for nested, where in _nested(schema, path):
        yield from _malformed(nested, where)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _nested(schema: dict[str, Any], path: str) -> Iterator[tuple[Any, str]]:
    for keyword in ("properties", "$defs"):
        for name, nested in (schema.get(keyword) or {}).items():
            yield nested, _at(path, f"{keyword}.{name}")
    for keyword in _LISTS_OF_SCHEMAS:
        if isinstance(schema.get(keyword), list):
            for index, nested in enumerate(schema[keyword]):
                yield nested, _at(path, f"{keyword}[{index}]")
    for keyword in _SINGLE_SCHEMAS:
        if keyword in schema:
            yield schema[keyword], _at(path, keyword)


def _at(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _unstrict(schema: Any, path: str) -> Iterator[str]:
    where = path or "schema"
    if not isinstance(schema, dict) or schema.keys().isdisjoint({"type", "anyOf", "$ref"}):
        yield f"{where} must have type, anyOf or $ref"
        return
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in STRICT_TYPES:
        yield f"{_at(path, 'type')} must be a JSON Schema type, got {kind!r}"
    if kind == "array" and "items" not in schema:
        yield f"{where} is an array and must have items"
    if any("type" not in option for option in schema.get("anyOf") or () if isinstance(option, dict)):
        yield f"{_at(path, 'anyOf')} must have an explicit type in every option"
    if kind == "object":
        yield from _unstrict_object(schema, where)
    for nested, step in _nested(schema, path):
        if not isinstance(nested, bool):
            yield from _unstrict(nested, step)


def _unstrict_object(schema: dict[str, Any], where: str) -> Iterator[str]:
    properties, required = schema.get("properties") or {}, schema.get("required")
    if schema.get("additionalProperties") is True:
        yield f"{where} must have additionalProperties: false"
    if isinstance(required, list) and set(required) != set(properties):
        yield f"{where} must list exactly its properties in required in strict mode"
