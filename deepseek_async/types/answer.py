"""Base class of all answers: wire bytes, billed usage and provenance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import msgspec

from deepseek_async.types.answer_part import OURS, WIRE_NAME, Counters, Part, declared, undeclared
from deepseek_async.types.json_text import read, write
from deepseek_async.types.request_id import trace_id
from deepseek_async.types.usage import BilledAttempt, CompletionUsage, moment

WHOLE = frozenset({"stop", "tool_calls", "length"})
"""Finish reasons of an answer that contains everything the model generated within its limits."""


class Answer(Part):
    """A complete answer. It keeps the bytes it was decoded from, so that fields added to the API later are not lost.

    ``to_dict()`` returns the object as the server sent it; unknown top-level fields are also attributes.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    _wire: bytes = msgspec.field(default=b"", name=WIRE_NAME)
    fallback: str | None = msgspec.field(default=None, name=OURS + "fallback")
    """Model of ``fallback_models``, or fallback endpoint, that answered instead of the requested one; None without a
    fallback."""
    cached: str | None = msgspec.field(default=None, name=OURS + "cached")
    """Cache tier of the answer: ``memory``, ``disk``, ``redis``, ``shared`` with a concurrent equal call, or ``stale``
    instead of an error; None for a new answer."""
    _billed: tuple[Any, ...] = msgspec.field(default=(), name=OURS + "billed")
    _sent_at: float = msgspec.field(default=0.0, name=OURS + "sent_at")
    repaired: tuple[str, ...] = msgspec.field(default=(), name=OURS + "repaired")
    """Fields that deviated from the API's format and how they were read, one sentence each; empty for nearly all
    answers. ``to_dict()`` returns them as sent."""

    _head: Any = msgspec.field(default=None, name=OURS + "head")

    @property
    def _request_id(self) -> str | None:
        """Request id assigned by the server. Public, in spite of its name, which is openai-python's."""
        return None if self._head is None else trace_id(self._head)

    def to_dict(self, **options: Any) -> dict[str, Any]:
        """Return this answer as plain JSON values, with every field of the server.

        ``options``: those of ``model_dump``.
        """
        if options:
            return self._chosen(options)
        sent = self.sent()
        return declared(self) if sent is None else sent

    def sent(self) -> dict[str, Any] | None:
        """Internal: return this answer as the server sent it, or None if that is not known."""
        loaded = read(self._wire) if self._wire else None
        return loaded if isinstance(loaded, dict) else None

    def _keep(self, obj: Any) -> None:
        self._wire = write(obj) if isinstance(obj, dict) else self._wire

    def tokens_used(self) -> CompletionUsage | None:
        """Internal: return the usage in the names of chat completions; None for an answer without tokens."""
        return None

    @property
    def billed_attempts(self) -> tuple[BilledAttempt, ...]:
        """Every billed request of a call with failed attempts or searches, else empty; ``usage`` is their sum.

        An attempt without reported usage is included at its maximum (``usage.estimated``).
        """
        return self._billed

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:  # noqa: ARG002  for those with a usage
        """Internal: set ``usage`` to the ``total`` of all ``attempts``."""
        self._billed = tuple(attempts)

    def with_marks_of(self, other: Self) -> Self:
        """Internal: return this answer with the provenance of ``other``: fallback, cache tier, billing."""
        for field in msgspec.structs.fields(type(self)):
            if field.name == "usage" or (field.encode_name.startswith(OURS) and field.name != "_wire"):
                value = getattr(other, field.name)
                # Without the wire bytes, which may contain what was filtered out of this answer.
                setattr(self, field.name, value.detached() if isinstance(value, Counters) else value)
        return self

    def is_whole(self) -> bool:
        """Internal: whether this answer is complete and reproducible, so that it may be cached."""
        return False

    def encoded(self) -> bytes:
        """Return this answer as JSON; for an answer from the wire, the original bytes."""
        if self._wire:
            return self._wire
        return write(self.to_dict())


class OpenAnswer(Answer):
    """An answer with access to undeclared fields.

    A ``__getattr__`` makes every attribute access of its class about ten times slower, declared or not; structs that
    are strict about their fields, and read chunk by chunk, have none.
    """

    def __getattr__(self, name: str) -> Any:
        return undeclared(self, name)


class TokenAnswer(OpenAnswer):
    """An answer billed in tokens, whose ``usage`` has the names of chat completions."""

    if TYPE_CHECKING:  # each class has it at its place among its fields
        usage: CompletionUsage | None = None

    def tokens_used(self) -> CompletionUsage | None:
        """Internal: see ``Answer.tokens_used``."""
        return self.usage

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        """Internal: see ``Answer.bill``."""
        super().bill(attempts, total)
        self.usage = total


def bills_of(answer: Answer) -> tuple[BilledAttempt, ...]:
    """Return every billed request of ``answer``, or ``answer`` itself as the only one."""
    usage = answer.tokens_used()
    if answer.billed_attempts or answer.cached is not None or usage is None:
        return answer.billed_attempts
    # A message has no timestamp, and other servers send none, or 0.
    said = moment(getattr(answer, "created", None) or getattr(answer, "created_at", None))
    at = answer._sent_at or said or 0.0  # noqa: SLF001  written only by the call
    return (BilledAttempt(getattr(answer, "model", ""), usage, at, None, getattr(answer, "id", None) or None),)
