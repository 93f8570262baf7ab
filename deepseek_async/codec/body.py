"""A response body to a typed answer: one prebuilt decoder, and a tolerant second try for odd JSON."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from deepseek_async.errors import APIResponseValidationError
from deepseek_async.quotation import quote
from deepseek_async.types import Answer, ChatCompletion
from deepseek_async.types.answer import Counters, counters_in, fields_of
from deepseek_async.types.json_text import read

T = TypeVar("T", bound=Answer)

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the strict decoder raises for JSON that it does not take."""


_USAGE: Final = ("usage",)


class OddBytes(bytes):
    """What only the tolerant decoder took: a strict parser may refuse it, so it is no JSON to be passed on unseen."""

    __slots__ = ()


class AnswerDecoder(Generic[T]):
    """Decodes one kind of answer. Building the msgspec decoder once keeps a chunk at about 0.6 µs."""

    def __init__(self, answer_type: type[T]) -> None:
        self._type = answer_type
        self._counts = "usage" in answer_type.__struct_fields__
        self.decode_strictly = msgspec.json.Decoder(answer_type).decode
        """The fast path alone: raises UNREADABLE, and does not remember the bytes."""

    def decode(self, wire: bytes) -> T:
        """The answer in ``wire``, which keeps a reference to it.

        Raises APIResponseValidationError if it is not a JSON object of this kind.
        """
        try:
            answer = self.decode_strictly(wire)
        except UNREADABLE:
            answer = self.decode_tolerantly(wire)
            wire = OddBytes(wire)
        answer._wire = wire  # noqa: SLF001  the decoder is the one writer of this field
        if self._counts:
            usage: Any = answer.usage
            if usage is not None:
                usage._origin = (wire, _USAGE)  # noqa: SLF001
        return answer

    def decode_tolerantly(self, wire: bytes) -> T:
        """For what a strict decoder refuses and a paid answer should survive: a lone surrogate escape,
        a null where the type has a default, a number sent as text, and whatever stands in the place of its usage.
        """
        try:
            # An answer is not lost for figures that are none: what it cost is estimated.
            loaded = _with_counters(_without_nulls(read(wire, errors="strict")), self._type)
            return msgspec.convert(loaded, self._type, strict=False)
        except (ValueError, msgspec.ValidationError, RecursionError) as error:
            reason = str(error)
        raise APIResponseValidationError(f"the server's answer is not what the API describes ({reason}): {quote(wire)}")

    def check_unread(self, wire: bytes) -> None:
        """Look at what the decoder skips, because no declared field holds it.

        Raises APIResponseValidationError if it is no UTF-8: the name of a field may be what is spoilt.
        """
        if not wire.isascii():
            try:
                wire.decode()
            except UnicodeDecodeError:
                self.decode_tolerantly(wire)  # raises the error that says so


class CompletionDecoder(AnswerDecoder[ChatCompletion]):
    """Decodes a plain chat completion, with undeclared fields of choice and message reachable."""

    def __init__(self) -> None:
        super().__init__(ChatCompletion)

    def decode(self, wire: bytes) -> ChatCompletion:
        wire = wire.strip()
        completion = super().decode(wire)
        for position, choice in enumerate(completion.choices):
            choice._origin = (wire, ("choices", position))  # noqa: SLF001
            choice.message._origin = (wire, ("choices", position, "message"))  # noqa: SLF001
        return completion


class MembersDecoder(AnswerDecoder[T]):
    """Decodes an answer whose ``field`` is a list, with undeclared fields of its members reachable."""

    def __init__(self, answer_type: type[T], field: str) -> None:
        super().__init__(answer_type)
        self._field = field

    def decode(self, wire: bytes) -> T:
        answer = super().decode(wire)
        for position, member in enumerate(getattr(answer, self._field)):
            member._origin = (wire, (self._field, position))  # noqa: SLF001
        return answer


decode_completion: Final = CompletionDecoder().decode


def _with_counters(loaded: Any, kind: type[msgspec.Struct]) -> Any:
    """``loaded``, an answer of this ``kind`` or an event that holds one, with what can be counted of its usage."""
    if not isinstance(loaded, dict):
        return loaded
    for name, inner in fields_of(kind).items():
        if inner is None or name not in loaded:
            continue
        if issubclass(inner, Counters):
            loaded[name] = counters_in(loaded[name], inner)
        elif issubclass(inner, Answer):
            loaded[name] = _with_counters(loaded[name], inner)
    return loaded


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
