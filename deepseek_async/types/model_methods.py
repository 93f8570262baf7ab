"""Names that openai-python's models, which are pydantic's, have for conversion: ``model_dump`` and its relatives.

The values are those of the attributes, so that changes made by the caller are in them; fields that nobody declared are
added as the server sent them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from copy import copy, deepcopy
from typing import Any, Final, Self

import msgspec
import orjson

from deepseek_async.types.json_text import read, write

PREFIX: Final = "deepseek_async:"
"""Name prefix that no server sends, so that our own fields are never decoded from the wire."""

Selection = AbstractSet[Any] | Mapping[Any, Any] | None
"""Fields to keep or to leave out: names, or names with the selection inside each."""

_ALL: Final = "__all__"


class _Fields:
    """Fields of a class, asked of it or of an object."""

    def __get__(self, instance: object, owner: type[Any]) -> dict[str, Any]:
        fields = msgspec.structs.fields(owner)
        return {field.encode_name: field for field in fields if not field.encode_name.startswith(PREFIX)}


def _without_ours(schema: dict[str, Any]) -> dict[str, Any]:
    fields = schema.get("properties")
    if fields is None:
        return schema
    return {**schema, "properties": {name: value for name, value in fields.items() if not name.startswith(PREFIX)}}


class ModelMethods:
    """Methods of every object of an answer."""

    __slots__ = ()
    __struct_fields__: tuple[str, ...]
    __struct_encode_fields__: tuple[str, ...]

    def sent(self) -> dict[str, Any] | None:
        """Internal: return this object as the server sent it, or None if that is not known."""
        return None

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Selection = None,
        exclude: Selection = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        by_alias: bool | None = None,  # noqa: ARG002  names are the API's
        context: Any = None,  # noqa: ARG002
        round_trip: bool = False,  # noqa: ARG002
        warnings: bool | str = True,  # noqa: ARG002
        fallback: Any = None,  # noqa: ARG002
        serialize_as_any: bool = False,  # noqa: ARG002
        exclude_computed_fields: bool = False,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the fields, declared ones first, as a dict of plain values.

        - ``exclude_unset``: only what the server sent; ``exclude_none``: no nulls.
        - ``include``, ``exclude``: field names, or nested: ``{"choices": {0: {"message"}}}``.
        - ``mode``: "json" converts values that JSON does not have.

        The other arguments are pydantic's and change nothing here.
        """
        dumped = _Dump(exclude_unset, exclude_defaults, exclude_none).of(self, self.sent(), include, exclude)
        return read(write_json(dumped)) if mode == "json" else dumped

    def model_dump_json(self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        """Return ``model_dump`` as JSON text, compact by default."""
        return json_text(self.model_dump(**{**options, "mode": "python"}), indent, ensure_ascii=ensure_ascii)

    @property
    def model_fields_set(self) -> set[str]:
        """Names of the fields that the server sent; without its text, of those that differ from the default."""
        sent = self.sent()
        if sent is not None:
            return set(sent)
        return {name for name, value in declared_items(self) if not _is_default(self, name, value)}

    @property
    def model_extra(self) -> dict[str, Any]:
        """Fields that the server sent and this version does not declare."""
        names = set(self.__struct_encode_fields__)
        return {name: value for name, value in (self.sent() or {}).items() if name not in names}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with the fields of ``update`` replaced."""
        made = deepcopy(self) if deep else copy(self)
        for name, value in (update or {}).items():
            setattr(made, name, value)
        return made

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ARG003  pydantic's
        """Create from a dict in the API's format. Raises ValueError, naming the field."""
        made = obj if isinstance(obj, cls) else msgspec.convert(obj, cls, strict=False)
        made._keep(obj)  # noqa: SLF001  its own class
        return made

    @classmethod
    def model_validate_json(cls, json_data: str | bytes, **options: Any) -> Self:
        """Create from JSON text. Raises ValueError, naming the field."""
        return cls.model_validate(read(json_data.encode() if isinstance(json_data, str) else json_data), **options)

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Create from fields in the API's format, nested ones as dicts."""
        return cls.model_validate(values)

    @classmethod
    def construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Create from fields in the API's format: the older name of ``model_construct``."""
        return cls.model_validate(values)

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy: pydantic 1's name of ``model_copy``."""
        return self.model_copy(update=update, deep=deep)

    @classmethod
    def parse_obj(cls, obj: Any) -> Self:
        """Create from a dict: pydantic 1's name of ``model_validate``."""
        return cls.model_validate(obj)

    @classmethod
    def parse_raw(cls, b: str | bytes) -> Self:
        """Create from JSON text: pydantic 1's name of ``model_validate_json``."""
        return cls.model_validate_json(b)

    model_fields = _Fields()
    """The API's fields by name, each as msgspec describes it."""

    @classmethod
    def model_json_schema(cls, **options: Any) -> dict[str, Any]:  # noqa: ARG003  pydantic's
        """Return the JSON Schema of what a server sends."""
        (schema,), components = msgspec.json.schema_components((cls,), ref_template="#/$defs/{name}")
        definitions = {name: _without_ours(component) for name, component in components.items()}
        top = definitions.pop(cls.__name__, schema)
        return {**top, "$defs": definitions} if definitions else top

    def _keep(self, obj: Any) -> None:
        """Keep the text that this object was made from, if its class has a place for it."""

    def __eq__(self, other: object) -> bool:
        """Whether both have the same fields, however each came to be: received, cached, or read from a dump."""
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, ModelMethods)  # noqa: S101  for the type checker
        return self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # their fields may be changed

    def __iter__(self) -> Iterator[Any]:
        """Yield names and values, so that ``dict(answer)`` is a dict of the fields; lists yield their members."""
        yield from declared_items(self)
        yield from self.model_extra.items()


def declared_items(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the API's fields of ``part`` by name."""
    for name, encoded in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True):
        if not encoded.startswith(PREFIX):
            yield encoded, getattr(part, name)


def _is_default(part: Any, name: str, value: Any) -> bool:
    field = next(field for field in msgspec.structs.fields(part) if field.encode_name == name)
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return bool(value == field.default)


class _Dump(msgspec.Struct):
    """What to leave out."""

    unset: bool
    defaults: bool
    nulls: bool

    def of(self, part: Any, sent: Any, include: Selection, exclude: Selection) -> dict[str, Any]:
        known = sent if isinstance(sent, dict) else None
        dumped = {}
        for name, value in declared_items(part):
            if self.unset and (name not in known if known is not None else _is_default(part, name, value)):
                continue
            if self.defaults and _is_default(part, name, value):
                continue
            if _selected(name, include, exclude):
                inner = None if known is None else known.get(name)
                dumped[name] = self._value(value, inner, _inside(include, name), _inside(exclude, name))
        names = set(part.__struct_encode_fields__)
        further = (known or {}).items()
        dumped |= {n: value for n, value in further if n not in names and _selected(n, include, exclude)}
        return {name: value for name, value in dumped.items() if value is not None} if self.nulls else dumped

    def _value(self, value: Any, sent: Any, include: Selection, exclude: Selection) -> Any:
        if isinstance(value, ModelMethods):
            known = value.sent()
            return self.of(value, sent if known is None else known, include, exclude)
        if isinstance(value, list):
            parts = sent if isinstance(sent, list) and len(sent) == len(value) else [None] * len(value)
            return [
                self._value(item, part, _inside(include, at), _inside(exclude, at))
                for at, (item, part) in enumerate(zip(value, parts, strict=True))
                if _selected(at, include, exclude)
            ]
        return msgspec.to_builtins(value, builtin_types=(bytes,)) if isinstance(value, msgspec.Struct) else value


def _selected(name: Any, include: Selection, exclude: Selection) -> bool:
    if include is not None and name not in include and _ALL not in include:
        return False
    if not exclude:
        return True
    if not isinstance(exclude, Mapping):
        return name not in exclude and _ALL not in exclude
    # True or ... leaves out the whole field, a selection only what is inside.
    return exclude.get(name, exclude.get(_ALL)) not in (True, ...)


def _inside(selection: Selection, name: Any) -> Selection:
    if not isinstance(selection, Mapping):
        return None
    inner = selection.get(name, selection.get(_ALL))
    return inner if isinstance(inner, AbstractSet | Mapping) else None


def write_json(value: Any) -> bytes:
    """Return ``value`` as JSON, also with values that JSON does not have."""
    return write(_plain(value))


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(), enc_hook=str)


def json_text(value: Any, indent: int | None, *, ensure_ascii: bool = False) -> str:
    """Return ``value`` as JSON text; a lone surrogate, which no file takes, is escaped."""
    if indent is None and not ensure_ascii:
        with suppress(TypeError):
            return orjson.dumps(_plain(value)).decode()
    plain = read(write_json(value))
    separators = None if indent is not None else (",", ":")
    text = json.dumps(plain, indent=indent, separators=separators, ensure_ascii=ensure_ascii)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(plain, indent=indent, separators=separators)
    return text


# Pydantic 1's names, which openai-python's models still have; in the class body ``dict`` would hide the type.
for _name, _method in (("dict", ModelMethods.model_dump), ("json", ModelMethods.model_dump_json)):
    setattr(ModelMethods, _name, _method)
