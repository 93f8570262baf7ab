"""Decoder of response bodies: one prebuilt strict decoder, and a tolerant fallback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import msgspec

from deepseek_async.codec import finish_reason
from deepseek_async.codec.reader import StreamReader
from deepseek_async.codec.repair import repaired, with_blocks
from deepseek_async.codec.sse import FIELDS, SSEDecoder
from deepseek_async.codec.status_errors import status_error_in_stream
from deepseek_async.errors import APIResponseValidationError
from deepseek_async.text.quoting import quote
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read, write

T = TypeVar("T", bound=Answer)
MakeReader = Callable[[SSEDecoder], StreamReader[Any, T]]

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions of the strict decoder for JSON that does not fit."""


USAGE: Final = ("usage",)


class TolerantJSON(bytes):
    """JSON accepted only by the tolerant decoder; strict parsers may reject it, so it must not be forwarded as it
    is."""

    __slots__ = ()


class AnswerDecoder(Generic[T]):
    """Decoder of one kind of answer. The msgspec decoder is built once, which keeps a chunk at about 0.6 µs.

    ``reader`` creates the stream reader for this kind: some servers stream although they were not asked to. ``odd`` is
    the type of an answer that the strict decoder rejects, if it differs.
    """

    def __init__(self, answer_type: type[T], reader: MakeReader[T] | None = None, odd: type[T] | None = None) -> None:
        self._type = odd or answer_type
        self._reader = reader
        self._counts = "usage" in answer_type.__struct_fields__
        self.decode_strictly = msgspec.json.Decoder(answer_type).decode
        """Strict decoding only: raises UNREADABLE, and does not keep the bytes."""

    def decode(self, wire: bytes) -> T:
        """Return the answer in ``wire``, with a reference to it.

        Raises APIResponseValidationError if it is not a JSON object of this kind, and the error of a stream sent
        instead.
        """
        try:
            answer = self.decode_strictly(wire)
        except UNREADABLE:
            if self._reader is not None and (streamed := _streamed(wire, self._reader)) is not None:
                return streamed
            answer = self.decode_tolerantly(wire)
            wire = TolerantJSON(wire)
        answer._wire = wire  # noqa: SLF001  only decoders write this field
        if self._counts:
            usage: Any = answer.usage
            if usage is not None:
                usage._origin = (wire, USAGE)  # noqa: SLF001
        return answer

    def decode_tolerantly(self, wire: bytes) -> T:
        """Decode what the strict decoder rejects, because a paid answer should survive: see ``repair``.

        Raises APIResponseValidationError, retryable if the body is invalid JSON or empty; any other body would be the
        same again.
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
        """Like ``decode_tolerantly``, for JSON already parsed to ``sent``, minus its undeclared fields."""
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
        """Return ``wire``, normalized to the API's format. Raises as ``decode`` does."""
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
        """Check the bytes that the decoder skips because no declared field holds them.

        Raises APIResponseValidationError for invalid UTF-8: the corrupt part may be the name of a field.
        """
        if not wire.isascii():
            try:
                wire.decode()
            except UnicodeDecodeError:
                self.decode_tolerantly(wire)  # raises the error


def _unlike_the_api(wire: bytes, error: Exception, *, again: bool) -> APIResponseValidationError:
    facts: dict[str, Any] = {} if again else {"retryable": False, "reason": "form"}
    return APIResponseValidationError(
        f"the server's answer does not match the API's format ({error}): {quote(wire)}", **facts
    )


def _streamed(wire: bytes, make: MakeReader[T]) -> T | None:
    """Assemble the answer from the events in ``wire``; None if there are none."""
    if not wire.lstrip().startswith(FIELDS):
        return None
    reader = make(SSEDecoder(len(wire) + 2))
    reader.feed(wire + b"\n\n")
    if reader.error is not None:
        raise status_error_in_stream(reader.error, {}, now=0.0)
    if reader.failure is not None:
        raise reader.failure
    return None if reader.preface is not None else reader.answer()


class MembersDecoder(AnswerDecoder[T]):
    """Decoder of an answer whose ``field`` is a list, with access to undeclared fields of its members."""

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
        """Positions of the members in the server's JSON."""
        members = getattr(answer, self._field)
        if type(answer._wire) is bytes:  # noqa: SLF001
            return range(len(members)) if answer._wire else ()  # noqa: SLF001  a stream has no wire bytes
        sent = answer.to_dict().get(self._field)
        positions = [at for at, one in enumerate(sent) if isinstance(one, dict)] if isinstance(sent, list) else []
        return positions if len(positions) == len(members) else ()


class ChoicesDecoder(MembersDecoder[T]):
    """Decoder of an answer with ``choices``; maps their finish reasons to DeepSeek's."""

    def __init__(self, answer_type: type[T], reader: MakeReader[T] | None = None) -> None:
        super().__init__(answer_type, "choices", reader)

    def decode(self, wire: bytes) -> T:
        answer = super().decode(wire)
        finish_reason.name(answer.choices)
        return answer
