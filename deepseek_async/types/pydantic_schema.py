"""API objects in pydantic's eyes: what serializes pydantic models, as FastAPI does, serializes them by ``to_dict()``.

Pure, and pydantic is imported by pydantic only.
"""

from __future__ import annotations

from typing import Any


class PydanticSerializer:
    """Descriptor ``__pydantic_serializer__``, which pydantic looks for on objects of a type that it does not know."""

    def __init__(self) -> None:
        self._made: Any = None

    def __get__(self, instance: object, owner: type) -> Any:
        """Return the serializer, the same for all types."""
        if self._made is None:
            from pydantic_core import SchemaSerializer, core_schema  # noqa: PLC0415  optional

            self._made = SchemaSerializer(core_schema.any_schema(serialization=_by_to_dict(core_schema)))
        return self._made


def schema_of(kind: Any) -> Any:
    """Return the core schema of a field of this ``kind``: its objects, or dicts in the API's format.

    Serialized by ``to_dict()``.
    """
    from pydantic_core import core_schema  # noqa: PLC0415  optional

    def described(*_: Any) -> dict[str, str]:
        return {"type": "object", "title": kind.__name__}

    return core_schema.no_info_plain_validator_function(
        kind.model_validate,
        serialization=_by_to_dict(core_schema),
        metadata={"pydantic_js_functions": [described]},
    )


def _by_to_dict(core_schema: Any) -> Any:
    return core_schema.plain_serializer_function_ser_schema(_to_dict)


def _to_dict(part: Any) -> Any:
    return part.to_dict()
