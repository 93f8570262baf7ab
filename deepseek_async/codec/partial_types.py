"""How an object of a Python type grows while its JSON arrives. Pure.

Texts, lists and objects grow; everything else, such as a number, a date or a value of one of several types, is there
once it is complete. Objects are made without their constructors and validators, which expect a whole.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from deepseek_async.codec.python_types import Shape
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types.json_text import write

ABSENT: Final[Any] = object()
"""Stands for a value that has not arrived, or is none of its type."""

_LISTS: Final = (list, Sequence, MutableSequence, Collection, Iterable, tuple)
_MAPPINGS: Final = (dict, Mapping, MutableMapping)


class Growth:
    """How values of one type grow. This one: not at all, a value appears once it is complete."""

    texts = False
    """Whether a string grows."""

    def __init__(self, kind: Any = Any) -> None:
        self._kind = kind

    def items(self) -> Growth | None:
        """Return the growth of a list's items; None if a list does not grow."""
        return None

    def field(self, key: str) -> tuple[str, Growth] | None:  # noqa: ARG002
        """Return the name and growth of an object's field; None if an object does not grow."""
        return None

    def made(self, value: Any, *, whole: bool) -> Any:  # noqa: ARG002
        """Return the list or object with the parts in ``value``; ``whole``: no more are to come."""
        return value

    def converted(self, value: Any) -> Any:
        """Return the value of this type for a complete JSON value that did not grow; ABSENT if it is none."""
        try:
            return _decoder(self._kind)(write(value))
        except Exception:  # noqa: BLE001  checks of a class may raise anything; the whole answer is validated later
            return ABSENT


@lru_cache(512)
def _decoder(kind: Any) -> Callable[[bytes], Any]:
    try:
        return Shape(kind).decode_loosely
    except InvalidRequestError:
        return _undecoded  # remembered, because finding it out again takes as long


def _undecoded(wire: bytes) -> Any:
    del wire
    return ABSENT


class _Anything(Growth):
    """JSON as it is."""

    texts = True

    def items(self) -> Growth | None:
        return self

    def field(self, key: str) -> tuple[str, Growth] | None:
        return key, self

    def made(self, value: Any, *, whole: bool) -> Any:
        del whole
        return value

    def converted(self, value: Any) -> Any:
        return value


class _Unknown(Growth):
    """A field that the class does not have."""

    def converted(self, value: Any) -> Any:
        del value
        return ABSENT


class _Text(Growth):
    texts = True

    def converted(self, value: Any) -> Any:
        return value if isinstance(value, str) else super().converted(value)


class _Nullable(Growth):
    """Null, or a value of a type that grows."""

    def __init__(self, growth: Growth) -> None:
        super().__init__()
        self._value = growth
        self.texts = growth.texts

    def items(self) -> Growth | None:
        return self._value.items()

    def field(self, key: str) -> tuple[str, Growth] | None:
        return self._value.field(key)

    def made(self, value: Any, *, whole: bool) -> Any:
        return self._value.made(value, whole=whole)

    def converted(self, value: Any) -> Any:
        return None if value is None else self._value.converted(value)


class _List(Growth):
    def __init__(self, kind: Any, item: Growth, make: Callable[[list[Any]], Any] | None) -> None:
        super().__init__(kind)
        self._item = item
        self._make = make

    def items(self) -> Growth | None:
        return self._item

    def made(self, value: Any, *, whole: bool) -> Any:
        del whole
        return value if self._make is None else self._make(value)


class _Dict(Growth):
    def __init__(self, kind: Any, value: Growth) -> None:
        super().__init__(kind)
        self._value = value

    def field(self, key: str) -> tuple[str, Growth] | None:
        return key, self._value


class _Field:
    """A declared field: its name, and what it is if an object ends without it."""

    __slots__ = ("default", "growth", "name")

    def __init__(self, name: str, growth: Growth, default: Callable[[], Any] | None) -> None:
        self.name = name
        self.growth = growth
        self.default = default


class _Object(Growth):
    """An object of a class. Fields are looked up at first use, because a class may contain itself."""

    def __init__(self, kind: Any, types: _Types) -> None:
        super().__init__(kind)
        self._types = types
        self._fields: dict[str, _Field] | None = None
        self._class = get_origin(kind) or kind

    def field(self, key: str) -> tuple[str, Growth] | None:
        field = self._known().get(key)
        return (key, _UNKNOWN) if field is None else (field.name, field.growth)

    def made(self, value: Any, *, whole: bool) -> Any:
        fields: dict[str, Any] = dict.fromkeys(field.name for field in self._known().values())
        if whole:
            for field in self._known().values():
                if field.default is not None and field.name not in value:
                    fields[field.name] = field.default()
        fields.update(value)
        return self.instance(fields, set(value))

    def _known(self) -> dict[str, _Field]:
        if self._fields is None:
            self._fields = {}
            for key, name, annotation, default in self.declared():
                self._fields[key] = _Field(name, self._types.growth(annotation), default)
        return self._fields

    def declared(self) -> Iterable[tuple[str, str, Any, Callable[[], Any] | None]]:
        """Yield name in JSON, name in Python, type and default of each field."""
        raise NotImplementedError

    def instance(self, fields: dict[str, Any], given: set[str]) -> Any:
        """Return an object with these fields."""
        raise NotImplementedError

    def _hints(self) -> dict[str, Any]:
        try:
            hints = get_type_hints(self._class, include_extras=True)
        except Exception:  # noqa: BLE001  a name that only the class's own module knows how to find
            return {}
        named = dict(zip(getattr(self._class, "__parameters__", ()), get_args(self._kind), strict=False))
        return {name: _substituted(hint, named) for name, hint in hints.items()} if named else hints


def _substituted(hint: Any, named: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return named.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(named.get(one, one) for one in parameters)] if parameters and get_args(hint) else hint


class _Dataclass(_Object):
    def declared(self) -> Iterable[tuple[str, str, Any, Callable[[], Any] | None]]:
        hints = self._hints()
        for field in dataclasses.fields(self._class):
            if field.init:
                yield field.name, field.name, hints.get(field.name), _default_of(field.default, field.default_factory)

    def instance(self, fields: dict[str, Any], given: set[str]) -> Any:
        del given
        made = self._class.__new__(self._class)
        for name, value in fields.items():
            object.__setattr__(made, name, value)  # also of a frozen one
        return made


class _Struct(_Object):
    def __init__(self, kind: Any, types: _Types) -> None:
        super().__init__(kind, types)
        names = msgspec.structs.fields(self._class)
        # A struct cannot be made without its constructor: a child of its class has one that asks for nothing.
        self._child: Any = msgspec.defstruct(
            self._class.__name__,
            [(field.name, Any, None) for field in names],
            bases=(self._class,),
            module=self._class.__module__,
            namespace={"__post_init__": lambda _: None},
            kw_only=True,
        )

    def declared(self) -> Iterable[tuple[str, str, Any, Callable[[], Any] | None]]:
        hints = self._hints()
        for field in msgspec.structs.fields(self._class):
            default = _default_of(field.default, field.default_factory)
            yield field.encode_name, field.name, hints.get(field.name), default

    def instance(self, fields: dict[str, Any], given: set[str]) -> Any:
        del given
        return self._child(**fields)


class _TypedDict(_Object):
    def declared(self) -> Iterable[tuple[str, str, Any, Callable[[], Any] | None]]:
        for name, hint in self._hints().items():
            yield name, name, hint, None

    def made(self, value: Any, *, whole: bool) -> Any:
        del whole
        return value


class _Model(_Object):
    """A pydantic model."""

    def declared(self) -> Iterable[tuple[str, str, Any, Callable[[], Any] | None]]:
        for name, field in self._class.model_fields.items():
            default = None if field.is_required() else _default_getter(field)
            for key in _aliases(self._class, name, field):
                yield key, name, field.annotation, default

    def instance(self, fields: dict[str, Any], given: set[str]) -> Any:
        made = self._class.__new__(self._class)
        extra: dict[str, Any] | None = {} if self._class.model_config.get("extra") == "allow" else None
        for name, value in (("__dict__", fields), ("__pydantic_fields_set__", given), ("__pydantic_extra__", extra)):
            object.__setattr__(made, name, value)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


def _default_getter(field: Any) -> Callable[[], Any]:
    def default() -> Any:
        try:
            return field.get_default(call_default_factory=True)
        except Exception:  # noqa: BLE001  a factory that needs the other fields
            return None

    return default


def _aliases(model: Any, name: str, field: Any) -> list[str]:
    """Return the names of a model's field in JSON."""
    alias = field.validation_alias or field.alias
    choices = getattr(alias, "choices", None) or ([alias] if alias is not None else [])
    keys = [choice for choice in choices if isinstance(choice, str)]
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    return keys if keys and not by_name else [*keys, name]


def _default_of(default: Any, factory: Any) -> Callable[[], Any] | None:
    if factory is not dataclasses.MISSING and factory is not msgspec.NODEFAULT:
        made: Callable[[], Any] = factory
        return made
    return None if default is dataclasses.MISSING or default is msgspec.NODEFAULT else lambda: default


ANYTHING: Final = _Anything()
_UNKNOWN: Final = _Unknown()


class _Types:
    """Growths by type, of one answer's class."""

    def __init__(self) -> None:
        self._made: dict[Any, Growth] = {}

    def growth(self, kind: Any) -> Growth:
        """Return the growth of a type."""
        try:
            known = self._made.get(kind)
        except TypeError:  # not hashable: Annotated with a list, for one
            return self._growth(kind)
        if known is None:
            known = self._made[kind] = self._growth(kind)
        return known

    def _growth(self, kind: Any) -> Growth:
        kind = _plain(kind)
        if kind in (Any, object):
            return ANYTHING
        if kind is str:
            return _Text(str)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            options = [option for option in arguments if option is not type(None)]
            # Of several types, only the complete value tells which it is.
            return _Nullable(self.growth(options[0])) if len(options) == 1 else Growth(kind)
        if (origin or kind) in _LISTS:
            return self._list(kind, origin or kind, arguments)
        if (origin or kind) in _MAPPINGS:
            names_are_texts = not arguments or arguments[0] is str
            return (
                _Dict(kind, self.growth(arguments[1]) if arguments else ANYTHING) if names_are_texts else Growth(kind)
            )
        return self._object(kind, origin or kind)

    def _list(self, kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Growth:
        if origin is tuple and arguments and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            return Growth(kind)
        return _List(kind, self.growth(arguments[0]) if arguments else ANYTHING, tuple if origin is tuple else None)

    def _object(self, kind: Any, owner: Any) -> Growth:
        if not isinstance(owner, type):
            return Growth(kind)
        try:
            return self._of_class(kind, owner)
        except Exception:  # noqa: BLE001  a class may forbid children, or whatever it likes
            return Growth(kind)

    def _of_class(self, kind: Any, owner: Any) -> Growth:
        if hasattr(owner, "model_fields") and hasattr(owner, "model_config"):
            return Growth(kind) if getattr(owner, "__pydantic_root_model__", False) else _Model(kind, self)
        if issubclass(owner, msgspec.Struct):
            return Growth(kind) if owner.__struct_config__.array_like else _Struct(kind, self)
        if dataclasses.is_dataclass(owner):
            return _Dataclass(kind, self)
        if hasattr(owner, "__required_keys__"):
            return _TypedDict(kind, self)
        return Growth(kind)


def _plain(kind: Any) -> Any:
    """Return a type without aliases and annotations."""
    while True:
        if get_origin(kind) is Annotated or str(get_origin(kind)).endswith(("Required", "ReadOnly")):
            kind = get_args(kind)[0]
        elif isinstance(kind, NewType):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        else:
            return kind


def growth_of(kind: Any) -> Growth:
    """Return how an answer of the type ``kind`` grows; a JSON Schema, as a mapping, has plain values."""
    return ANYTHING if isinstance(kind, Mapping) else _Types().growth(kind)
