"""Base classes of API objects: typed fields, and access to undeclared ones."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Self, get_args

import msgspec

from deepseek_async.text.not_here import NotHere
from deepseek_async.text.redaction import mask_known
from deepseek_async.types.json_text import read, write
from deepseek_async.types.model_methods import PREFIX, ModelMethods, json_text
from deepseek_async.types.number_text import number_in
from deepseek_async.types.pydantic_schema import PydanticSerializer, schema_of

# Name prefix that no server sends, so that our own fields are never decoded from the wire.
OURS = PREFIX
WIRE_NAME = OURS + "wire"

_MOST_COUNTED: Final = 2**62
"""Larger counts are clipped to this: it fits any integer type, also doubled."""


class Part(ModelMethods, msgspec.Struct, gc=False):
    """An object inside an answer.

    Every field has a default, because a missing field must not turn a paid answer into an error. ``gc=False`` keeps
    answers off the cyclic garbage collector's lists, which would cost 22 % of the CPU at 1,000 calls in flight; answers
    contain no cycles.
    """

    __pydantic_serializer__ = PydanticSerializer()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let an API object be a field of a pydantic model, and the answer of a FastAPI route."""
        return schema_of(cls)

    def to_dict(self, **options: Any) -> dict[str, Any]:
        """Return the declared fields as plain JSON values; ``options`` as for ``model_dump``."""
        return self._chosen(options) if options else declared(self)

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """Return ``to_dict`` as JSON text."""
        return json_text(self.to_dict(**options), indent)

    def _chosen(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return ``model_dump`` with openai-python's ``options`` of ``to_dict``."""
        options.pop("use_api_names", None)
        return self.model_dump(**{"exclude_unset": True, **options})

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if not name.startswith("_"))
        shown = f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
        # Masked for display; the fields keep what a server echoes.
        return mask_known(shown)


class LinkedPart(Part, kw_only=True):
    """An object inside an answer that looks up undeclared fields in the bytes it was decoded from."""

    _origin: tuple[bytes, tuple[str | int, ...]] | None = msgspec.field(default=None, name=WIRE_NAME)

    def __getattr__(self, name: str) -> Any:
        return undeclared(self, name)

    def to_dict(self, **options: Any) -> dict[str, Any]:
        """Return this object as plain JSON values, with every field of the server.

        ``options``: those of ``model_dump``.
        """
        if options:
            return self._chosen(options)
        sent = self.sent()
        # The server may have omitted this object, or sent null.
        return declared(self) if sent is None else sent

    def sent(self) -> dict[str, Any] | None:
        """Internal: return this object as the server sent it, or None if that is not known."""
        if self._origin is None:
            return None
        wire, path = self._origin
        value = read(wire)
        try:
            for step in path:
                value = value[step]
        except (LookupError, TypeError):
            value = None
        return value if isinstance(value, dict) else None


class Counters(LinkedPart, eq=False, kw_only=True):
    """Billing counters. Equal if all counters are equal."""

    corrected: str | None = msgspec.field(default=None, name=OURS + "corrected")
    """Why some of it is estimated: nothing was reported, or an impossible figure; None for a usage as reported."""
    fees: dict[str, int] | None = msgspec.field(default=None, name=OURS + "fees")
    """Billed fees beside tokens, by kind, e.g. ``{"search": 2}``; None for none."""

    @property
    def estimated(self) -> bool:
        """Whether some of it is an estimate, never below what was billed; ``corrected`` says why."""
        return self.corrected is not None

    def counters(self) -> dict[str, Any]:
        """Return all counters by name, undeclared ones included, with the corrected values of declared ones."""
        known = _present(declared(self))
        return _over(_present(self.to_dict()), known) if self._origin is not None else known

    @property
    def has_further(self) -> bool:
        """Whether there are undeclared counters."""
        return self._origin is not None and not self.to_dict().keys() <= fields_of(type(self)).keys()

    def detached(self) -> Self:
        """Return a copy without the wire bytes."""
        made = self.counting(self.counters())
        made.corrected, made.fees = self.corrected, self.fees
        return made

    @classmethod
    def counting(cls, counters: dict[str, Any]) -> Self:
        """Create from a server's ``counters``."""
        made = msgspec.convert(counters_in(counters, cls), cls, strict=False)
        made._origin = (write(counters), ())  # noqa: SLF001  bytes of its own
        return made

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Counters):
            return False
        return self.counters() == other.counters() and (self.fees or {}) == (other.fees or {})

    __hash__ = None  # type: ignore[assignment]  # mutable


def counters_in(sent: Any, kind: type[msgspec.Struct]) -> dict[str, Any] | None:
    """Return the readable counters of ``sent`` for a ``kind``; None if it is not an object.

    A counter that is not a number is omitted, so that it does not invalidate a paid answer. Undeclared counters are
    kept unchanged.
    """
    if not isinstance(sent, dict):
        return None
    kept = dict(sent)
    for name, inner in fields_of(kind).items():
        if name in sent:
            value = whole_number(sent[name]) if inner is None else counters_in(sent[name], inner)
            if value is None:
                del kept[name]
            else:
                kept[name] = value
    return kept


def whole_number(value: Any) -> int | None:
    """Return the count in ``value``, also if sent as a string; None if it is not a count."""
    if isinstance(value, str):
        value = number_in(value)  # counts may be sent as strings
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124  NaN
        return None
    return int(max(-_MOST_COUNTED, min(value, _MOST_COUNTED)))


@cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """Return the fields a server may send for a ``kind``, by name, with the type of objects."""
    found: dict[str, type[msgspec.Struct] | None] = {}
    for field in msgspec.structs.fields(kind):
        if not field.encode_name.startswith(OURS):
            types = [each for each in (get_args(field.type) or (field.type,)) if isinstance(each, type)]
            found[field.encode_name] = next((each for each in types if issubclass(each, msgspec.Struct)), None)
    return found


def declared(part: Part) -> dict[str, Any]:
    built: dict[str, Any] = _without_origin(msgspec.to_builtins(part, builtin_types=(bytes,), enc_hook=_odd))
    return built


def _odd(value: Any) -> bytes | None:
    """Return the wire bytes if only the tolerant decoder accepted them (TolerantJSON); None for an object of a class of
    the user, which is no field of the server."""
    return bytes(value) if isinstance(value, bytes) else None


def _without_origin(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_origin(item) for name, item in value.items() if not name.startswith(OURS)}
    if isinstance(value, list):
        return [_without_origin(item) for item in value]
    return value


def _present(value: dict[str, Any]) -> dict[str, Any]:
    """Return ``value`` without nulls."""
    return {
        name: _present(item) if isinstance(item, dict) else item for name, item in value.items() if item is not None
    }


def _over(sent: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return ``sent`` with the values of ``known`` overlaid."""
    inner = {
        name: _over(sent[name], item) if isinstance(item, dict) and isinstance(sent.get(name), dict) else item
        for name, item in known.items()
    }
    return {**sent, **inner}


def undeclared(part: Part, name: str) -> Any:
    # Python looks up dunder names (__deepcopy__, __rich_repr__, …), which no server sends.
    fields = {} if name.startswith("_") else part.to_dict()
    try:
        return fields[name]
    except KeyError:
        known = getattr(type(part), name, None)
        sent = ", ".join(fields) or "none"
        instead = known.instead if isinstance(known, NotHere) else f"the server sent: {sent}"
        raise AttributeError(
            f"{type(part).__name__!r} has no field {name!r}; {instead}",
            name=name,
            obj=part,
        ) from None
