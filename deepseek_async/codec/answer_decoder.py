"""A response body to a typed answer: one prebuilt decoder, and a tolerant second reading for what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import msgspec

from deepseek_async.codec import finish_reason
from deepseek_async.codec.reader import StreamReader
from deepseek_async.codec.refusal import refusal_in_stream
from deepseek_async.codec.repair import repaired, with_blocks
from deepseek_async.codec.sse import FIELDS, SSEDecoder
from deepseek_async.errors import APIResponseValidationError
from deepseek_async.text.quotation import quote
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read, write

T = TypeVar("T", bound=Answer)
MakeReader = Callable[[SSEDecoder], StreamReader[Any, T]]

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the strict decoder raises for JSON that it does not take."""


USAGE: Final = ("usage",)


class OddBytes(bytes):
    """What only the tolerant decoder took: a strict parser may refuse it, so it is no JSON to be passed on unseen."""

    __slots__ = ()


class AnswerDecoder(Generic[T]):
    """Decodes one kind of answer. Building the msgspec decoder once keeps a chunk at about 0.6 µs.

    ``reader`` makes what reads such an answer as a stream: some servers send one although none was asked for. ``odd``
    is what an answer becomes that the strict decoder refuses, if not the same.
    """

    def __init__(self, answer_type: type[T], reader: MakeReader[T] | None = None, odd: type[T] | None = None) -> None:
        self._type = odd or answer_type
        self._reader = reader
        self._counts = "usage" in answer_type.__struct_fields__
        self.decode_strictly = msgspec.json.Decoder(answer_type).decode
        """The fast path alone: raises UNREADABLE, and does not remember the bytes."""

    def decode(self, wire: bytes) -> T:
        """The answer in ``wire``, which keeps a reference to it.

        Raises APIResponseValidationError if it is not a JSON object of this kind, and what a stream in its place says.
        """
        try:
            answer = self.decode_strictly(wire)
        except UNREADABLE:
            if self._reader is not None and (streamed := _streamed(wire, self._reader)) is not None:
                return streamed
            answer = self.decode_tolerantly(wire)
            wire = OddBytes(wire)
        answer._wire = wire  # noqa: SLF001  the decoder is the one writer of this field
        if self._counts:
            usage: Any = answer.usage
            if usage is not None:
                usage._origin = (wire, USAGE)  # noqa: SLF001
        return answer

    def decode_tolerantly(self, wire: bytes) -> T:
        """For what the strict decoder refuses and a paid answer should survive: see ``repair``.

        Raises APIResponseValidationError. It may be sent again if it is no JSON, or says nothing; what it says in a
        form that cannot be read, it would say again.
        """
        notes: list[str] = []
        found = self._repaired(wire, notes)
        try:
            answer = msgspec.convert(found, self._type, strict=False)
        except (ValueError, RecursionError) as error:
            failure = _unlike_the_api(wire, error, again=False)
        else:
            answer.repaired = tuple(notes)
            return answer
        raise failure

    def of_values(self, sent: Any, wire: bytes) -> T:
        """As ``decode_tolerantly``, for JSON that was read already and is ``sent`` but for what was taken out of it."""
        with suppress(msgspec.ValidationError, RecursionError):
            return msgspec.convert(sent, self._type)
        notes: list[str] = []
        try:
            answer = msgspec.convert(repaired(sent, self._type, notes), self._type, strict=False)
        except (ValueError, RecursionError) as error:
            failure = _unlike_the_api(wire, error, again=not sent)
        else:
            answer.repaired = tuple(notes)
            return answer
        raise failure

    def regular(self, wire: bytes) -> bytes:
        """``wire``, or the same in the form that the API describes. Raises as ``decode`` does."""
        try:
            self.decode_strictly(wire)
        except UNREADABLE:
            return write(with_blocks(read(wire), self._repaired(wire, [])))
        return wire

    def _repaired(self, wire: bytes, notes: list[str]) -> dict[str, Any]:
        loaded: Any = None
        try:
            loaded = read(wire, errors="strict")
            return repaired(loaded, self._type, notes)
        except (ValueError, RecursionError) as error:
            failure = _unlike_the_api(wire, error, again=not loaded)
        raise failure

    def check_unread(self, wire: bytes) -> None:
        """Look at what the decoder skips, because no declared field holds it.

        Raises APIResponseValidationError if it is no UTF-8: the name of a field may be what is spoilt.
        """
        if not wire.isascii():
            try:
                wire.decode()
            except UnicodeDecodeError:
                self.decode_tolerantly(wire)  # raises the error that says so


def _unlike_the_api(wire: bytes, error: Exception, *, again: bool) -> APIResponseValidationError:
    facts: dict[str, Any] = {} if again else {"retryable": False, "reason": "form"}
    return APIResponseValidationError(
        f"the server's answer is not what the API describes ({error}): {quote(wire)}", **facts
    )


def _streamed(wire: bytes, make: MakeReader[T]) -> T | None:
    """The answer that the events in ``wire`` make up; None if there are none."""
    if not wire.lstrip().startswith(FIELDS):
        return None
    reader = make(SSEDecoder(len(wire) + 2))
    reader.feed(wire + b"\n\n")
    if reader.error is not None:
        raise refusal_in_stream(reader.error, {}, now=0.0)
    if reader.failure is not None:
        raise reader.failure
    return None if reader.preface is not None else reader.answer()


class MembersDecoder(AnswerDecoder[T]):
    """Decodes an answer whose ``field`` is a list, with undeclared fields of its members reachable."""

    def __init__(
        self,
        answer_type: type[T],
        field: str,
        reader: MakeReader[T] | None = None,
    ) -> None:
        super().__init__(answer_type, reader)
        self._field = field

    def decode(self, wire: bytes) -> T:
        answer = super().decode(wire)
        members: list[Any] = getattr(answer, self._field)
        for position, member in zip(self._positions(answer), members, strict=False):
            member._origin = (answer._wire, (self._field, position))  # noqa: SLF001
        return answer

    def _positions(self, answer: T) -> Iterable[int]:
        """Where the members stand in what was sent."""
        members = getattr(answer, self._field)
        if type(answer._wire) is bytes:  # noqa: SLF001
            return range(len(members)) if answer._wire else ()  # noqa: SLF001  a stream has none
        sent = answer.to_dict().get(self._field)
        positions = [at for at, one in enumerate(sent) if isinstance(one, dict)] if isinstance(sent, list) else []
        return positions if len(positions) == len(members) else ()


class ChoicesDecoder(MembersDecoder[T]):
    """Decodes an answer with ``choices``, whose reasons for ending are told in DeepSeek's words."""

    def __init__(self, answer_type: type[T], reader: MakeReader[T] | None = None) -> None:
        super().__init__(answer_type, "choices", reader)

    def decode(self, wire: bytes) -> T:
        answer = super().decode(wire)
        finish_reason.name(answer.choices)
        return answer
