"""Validation of JSON Schemas of tools. Pure.

Checks only what the service checks: the top level of an ordinary tool, and every object of a
strict one, where each property must be required and no others are allowed.
"""

from __future__ import annotations

from typing import Any

import orjson

_TYPES = ("object", "string", "number", "integer", "boolean", "array", "null")


class SchemaError(Exception):
    """The service's message for an invalid schema."""


def check_parameters(name: str, schema: Any) -> None:
    """Check an ordinary tool: its parameters must be an object schema."""
    where = f"Invalid schema for function '{name}'"
    if not isinstance(schema, dict):
        raise SchemaError(f'{where}: {_shown(schema)} is not of types "boolean", "object"')
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise SchemaError(f'{where}: {_shown(properties)} is not of type "object"')
    for nested in properties.values():
        if not isinstance(nested, (dict, bool)):
            raise SchemaError(f'{where}: {_shown(nested)} is not of types "boolean", "object"')
    required = schema.get("required", [])
    if not isinstance(required, list):
        raise SchemaError(f'{where}: {_shown(required)} is not of type "array"')
    kind = schema.get("type")
    if kind != "object":
        raise SchemaError(f"{where}: schema must be a JSON Schema of 'type: \"object\"', got 'type: {_shown(kind)}'.")


def check_strict_parameters(schema: Any) -> None:
    """Check a strict tool: an object whose properties are all required, recursively."""
    _check_strict(schema)
    if schema.get("type") != "object":
        raise SchemaError("The top level of the function parameters schema must be an object.")


def _check_strict(schema: Any) -> None:  # noqa: C901 - the rules of one object, in order
    where = "Invalid tool parameters schema : "
    if not isinstance(schema, dict) or not schema.keys() & {"type", "anyOf", "$ref"}:
        raise SchemaError(f"{where}one of `type`, `anyOf`, `$ref` field is required")
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in _TYPES:
        expected = ", ".join(f"`{known}`" for known in _TYPES)
        raise SchemaError(f"{where}unknown variant `{kind}`, expected one of {expected}")
    if kind == "array" and "items" not in schema:
        raise SchemaError(f"{where}missing field `items`")
    for option in schema.get("anyOf") or ():
        _check_strict(option)
    if kind == "array":
        _check_strict(schema["items"])
    if kind != "object":
        return
    properties = schema.get("properties") or {}
    for nested in properties.values():
        _check_strict(nested)
    if schema.get("additionalProperties") is True:
        raise SchemaError("additionalProperties should not be true")
    required = schema.get("required")
    if required is None:
        return
    for name in required:
        if name not in properties:
            raise SchemaError(f"Required property '{name}' not found in object")
    if len(set(required)) != len(properties):
        raise SchemaError("Required properties must match all properties in the object")


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()
