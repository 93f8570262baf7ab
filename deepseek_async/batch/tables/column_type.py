"""Types of the columns that hold answers, and those of a JSON Schema's properties. Pure.

A type is known before the first answer, so that a frame in which no row was answered has the same columns as every
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeAlias

import msgspec

from deepseek_async.batch.review.columns import as_text

_INTEGERS: Final = range(-(1 << 63), 1 << 63)
_DEEPEST: Final = 16
_REFERENCE: Final = "#/$defs/"


class Scalar(Enum):
    TEXT = "string"
    INTEGER = "int64"
    NUMBER = "float64"
    BOOLEAN = "bool"


class ListType(msgspec.Struct, frozen=True):
    """A list."""

    item: ColumnType


class Fields(msgspec.Struct, frozen=True):
    """An object with known fields."""

    types: dict[str, ColumnType]


ColumnType: TypeAlias = Scalar | ListType | Fields

_BY_NAME: Final = {
    "string": Scalar.TEXT,
    "integer": Scalar.INTEGER,
    "number": Scalar.NUMBER,
    "boolean": Scalar.BOOLEAN,
}


class MisfitError(ValueError):
    """A value does not have its column's type."""


def property_types(schema: Mapping[str, Any]) -> dict[str, ColumnType]:
    """Return the column type of each property of an object's JSON Schema.

    What no column can hold as it is (a union, an object with arbitrary keys, a class within itself) is text: the JSON
    of the value.
    """
    definitions = schema.get("$defs", {})
    return {
        name: _type(nested, definitions, _DEEPEST) or Scalar.TEXT
        for name, nested in schema.get("properties", {}).items()
    }


def fitted(kind: ColumnType, value: Any) -> Any:
    """Return a JSON ``value`` as one of the type. Raises MisfitError."""
    if value is None:
        return None
    match kind:
        case Scalar.TEXT:
            return as_text(value)
        case Scalar.BOOLEAN if isinstance(value, bool):
            return value
        case Scalar.INTEGER if isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS:
            return value
        case Scalar.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise MisfitError(value) from None
        case ListType(item) if isinstance(value, list | tuple):
            return [fitted(item, element) for element in value]
        case Fields(types) if isinstance(value, Mapping) and value.keys() <= types.keys():
            return {name: fitted(nested, value.get(name)) for name, nested in types.items()}
    raise MisfitError(value)


def fitted_column(kind: ColumnType, values: Sequence[Any]) -> tuple[ColumnType, list[Any]]:
    """Return a column and its type: ``kind``, or text if one of the values does not have that type."""
    try:
        return kind, [fitted(kind, value) for value in values]
    except MisfitError:
        return Scalar.TEXT, [fitted(Scalar.TEXT, value) for value in values]


def _type(schema: Any, definitions: Mapping[str, Any], levels: int) -> ColumnType | None:
    """Return the type of a property; None if only its JSON fits a column."""
    if not isinstance(schema, Mapping) or not levels:
        return None
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            options = [option for option in schema[keyword] if option != {"type": "null"}]
            return _type(options[0], definitions, levels - 1) if len(options) == 1 else None
    if "$ref" in schema:
        # A class within itself ends at the deepest level, and the whole of it is JSON then.
        return _type(definitions.get(schema["$ref"].removeprefix(_REFERENCE)), definitions, levels - 1)
    named = schema.get("type")
    if isinstance(named, list):
        named = next(iter(set(named) - {"null"}), None) if len(set(named) - {"null"}) == 1 else None
    if named is None:
        return _type_of_values(schema.get("enum", [schema["const"]] if "const" in schema else []))
    if named == "array":
        item = None if "prefixItems" in schema else _type(schema.get("items"), definitions, levels - 1)
        return None if item is None else ListType(item)
    if named == "object":
        return _object_type(schema, definitions, levels)
    return _BY_NAME.get(named)


def _object_type(schema: Mapping[str, Any], definitions: Mapping[str, Any], levels: int) -> ColumnType | None:
    properties = schema.get("properties", {})
    if not properties or schema.get("additionalProperties"):
        return None
    types = {name: _type(nested, definitions, levels - 1) for name, nested in properties.items()}
    known = {name: kind for name, kind in types.items() if kind is not None}
    return Fields(known) if len(known) == len(types) else None


def _type_of_values(values: Sequence[Any]) -> ColumnType | None:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {str}:
        return Scalar.TEXT
    return Scalar.INTEGER if kinds == {int} else None
