"""The base of everything the API sends: typed fields, and a way to the fields that nobody declared."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Self, get_args

import msgspec

from deepseek_async.text.redaction import mask_known
from deepseek_async.types.json_text import read, write
from deepseek_async.types.number_text import number_in

# JSON names that no server sends, so that what we keep beside the fields never comes from the wire.
OURS = "deepseek_async:"
WIRE_NAME = OURS + "wire"

_MOST_COUNTED: Final = 2**62
"""What is told as more counts as so much: a number that fits everywhere, also twice."""


class Part(msgspec.Struct, gc=False):
    """An object inside an answer.

    Every field has a default, because a missing field must not turn a paid answer into an error.
    ``gc=False`` keeps answers off the cyclic collector's lists, which costs 22 % of the CPU at 1,000 calls
    in flight; answers hold no cycles.
    """

    def to_dict(self) -> dict[str, Any]:
        """The declared fields as plain JSON values."""
        return declared(self)

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if not name.startswith("_"))
        shown = f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"
        # For people to look at; what a server echoes is in the fields as it came.
        return mask_known(shown)


class LinkedPart(Part, kw_only=True):
    """An object inside an answer that can look up fields nobody declared in the bytes it came from."""

    _origin: tuple[bytes, tuple[str | int, ...]] | None = msgspec.field(default=None, name=WIRE_NAME)

    def __getattr__(self, name: str) -> Any:
        return undeclared(self, name)

    def to_dict(self) -> dict[str, Any]:
        """This object as plain JSON values, with every field that the server sent."""
        if self._origin is None:
            return declared(self)
        wire, path = self._origin
        value = read(wire)
        try:
            for step in path:
                value = value[step]
        except (LookupError, TypeError):
            value = None
        # The server may have left this part out, or sent null.
        return value if isinstance(value, dict) else declared(self)


class Counters(LinkedPart, eq=False, kw_only=True):
    """Numbers that the server bills by. Two are equal if all their numbers are."""

    corrected: str | None = msgspec.field(default=None, name=OURS + "corrected")
    """Why some of it is an estimate: the server said nothing, or what cannot be true; None for what it said."""
    fees: dict[str, int] | None = msgspec.field(default=None, name=OURS + "fees")
    """What is billed beside tokens, by kind: ``{"search": 2}``; None for nothing."""

    @property
    def estimated(self) -> bool:
        """Whether some of it is an estimate, and no less than what was billed; ``corrected`` says why."""
        return self.corrected is not None

    def counters(self) -> dict[str, Any]:
        """All of them by name, also those that nobody declared; what is declared as it is here."""
        known = _present(declared(self))
        return _over(_present(self.to_dict()), known) if self._origin is not None else known

    @property
    def has_further(self) -> bool:
        """Whether there are some that nobody declared."""
        return self._origin is not None and not self.to_dict().keys() <= fields_of(type(self)).keys()

    def detached(self) -> Self:
        """The same numbers without the bytes that they came in."""
        made = self.counting(self.counters())
        made.corrected, made.fees = self.corrected, self.fees
        return made

    @classmethod
    def counting(cls, counters: dict[str, Any]) -> Self:
        """What a server says that names these ``counters``."""
        made = msgspec.convert(counters_in(counters, cls), cls, strict=False)
        made._origin = (write(counters), ())  # noqa: SLF001  its own
        return made

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Counters):
            return False
        return self.counters() == other.counters() and (self.fees or {}) == (other.fees or {})

    __hash__ = None  # type: ignore[assignment]  # as of all that can change


def counters_in(sent: Any, kind: type[msgspec.Struct]) -> dict[str, Any] | None:
    """What can be counted of whatever was ``sent`` in the place of counters of a ``kind``; None if that is no object.

    A counter that is no number is left out, so that it costs nobody an answer that was paid for. What nobody declared
    stays as it is.
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
    """The count that ``value`` is, also as a text; None if it is none."""
    if isinstance(value, str):
        value = number_in(value)  # numbers sent as text are numbers
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124  NaN
        return None
    return int(max(-_MOST_COUNTED, min(value, _MOST_COUNTED)))


@cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """What a server may send of a ``kind``, by name; objects with what they are."""
    found: dict[str, type[msgspec.Struct] | None] = {}
    for field in msgspec.structs.fields(kind):
        if not field.encode_name.startswith(OURS):
            types = [each for each in (get_args(field.type) or (field.type,)) if isinstance(each, type)]
            found[field.encode_name] = next((each for each in types if issubclass(each, msgspec.Struct)), None)
    return found


def declared(part: Part) -> dict[str, Any]:
    built: dict[str, Any] = _without_origin(msgspec.to_builtins(part, builtin_types=(bytes,), enc_hook=_odd))
    return built


def _odd(value: Any) -> bytes:
    """The bytes that a part came in, if only a tolerant decoder took them: a class of their own says so."""
    return bytes(value) if isinstance(value, bytes) else b""


def _without_origin(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_origin(item) for name, item in value.items() if not name.startswith(OURS)}
    if isinstance(value, list):
        return [_without_origin(item) for item in value]
    return value


def _present(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` without what is null."""
    return {
        name: _present(item) if isinstance(item, dict) else item for name, item in value.items() if item is not None
    }


def _over(sent: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """``sent`` with the values of ``known`` in the place of its own."""
    inner = {
        name: _over(sent[name], item) if isinstance(item, dict) and isinstance(sent.get(name), dict) else item
        for name, item in known.items()
    }
    return {**sent, **inner}


def undeclared(part: Part, name: str) -> Any:
    # Python asks for dunder names (__deepcopy__, __rich_repr__, …) that no server sends.
    fields = {} if name.startswith("_") else part.to_dict()
    try:
        return fields[name]
    except KeyError:
        sent = ", ".join(fields) or "none"
        raise AttributeError(
            f"{type(part).__name__!r} has no field {name!r}; the server sent: {sent}",
            name=name,
            obj=part,
        ) from None
