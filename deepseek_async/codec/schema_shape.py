"""Answer format defined by a JSON Schema instead of a class. Needs the extra ``schema``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from deepseek_async.errors import InvalidRequestError


class SchemaShape:
    """Decodes and validates JSON as plain values against ``schema``.

    Raises InvalidRequestError for an invalid JSON Schema, or one with external references: nothing is fetched.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            from jsonschema.exceptions import SchemaError  # noqa: PLC0415  an extra
            from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415
            from referencing import Registry  # noqa: PLC0415
        except ImportError:
            raise InvalidRequestError(
                "checking answers against a JSON Schema needs the extra: pip install 'deepseek-async[schema]'",
            ) from None
        self.schema = dict(schema)
        title = schema.get("title")
        self.name = title if isinstance(title, str) and title else "answer"
        kind = validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except SchemaError as error:
            raise InvalidRequestError(f"invalid JSON Schema: {error.message} at {error.json_path}") from None
        for reference in _references(self.schema):
            if not _leads_somewhere(reference, self.schema):
                raise InvalidRequestError(f"cannot resolve the reference {reference!r}: it is not in the schema")
        self._validator = kind(self.schema, registry=Registry())
        self.decode_loosely = self.decode

    def decode(self, text: str | bytes) -> Any:
        """Return the value in a text. Raises ValueError, naming the place, if it does not fit the schema."""
        value = orjson.loads(text)
        for error in self._validator.iter_errors(value):
            raise ValueError(f"{error.message} at {error.json_path}")
        return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name in {"$ref", "$dynamicRef"} and isinstance(item, str):
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _leads_somewhere(reference: str, schema: Any) -> bool:
    """Whether a JSON pointer resolves to an object."""
    head, *steps = reference.split("/")
    if head != "#":
        return False
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        schema = schema.get(name) if isinstance(schema, Mapping) else None
    return isinstance(schema, Mapping | bool)
