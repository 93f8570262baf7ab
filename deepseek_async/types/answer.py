"""The base of every answer of the API: what was sent, what was billed for it, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import msgspec

from deepseek_async.types.json_text import read, write
from deepseek_async.types.part import OURS, WIRE_NAME, Counters, Part, declared, undeclared
from deepseek_async.types.usage import BilledAttempt, CompletionUsage, moment

WHOLE = frozenset({"stop", "tool_calls", "length"})
"""Why an answer ends that is all that the model said, as far as it was let."""


class Answer(Part):
    """A whole answer. It keeps the bytes it was decoded from, so fields that the API adds later are not lost.

    ``to_dict()`` gives the object as the server sent it, and an unknown top-level field is an attribute too.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    _wire: bytes = msgspec.field(default=b"", name=WIRE_NAME)
    fallback: str | None = msgspec.field(default=None, name=OURS + "fallback")
    """Who gave this answer in the place of the one that was asked: a model of ``fallback_models``, or the
    fallback endpoint; None when the one that was asked answered."""
    cached: str | None = msgspec.field(default=None, name=OURS + "cached")
    """Where this answer was found instead of being bought: memory, disk, redis, shared with an equal call under way,
    or stale in the place of an error; None for a new one."""
    _billed: tuple[Any, ...] = msgspec.field(default=(), name=OURS + "billed")
    _sent_at: float = msgspec.field(default=0.0, name=OURS + "sent_at")
    repaired: tuple[str, ...] = msgspec.field(default=(), name=OURS + "repaired")
    """What the server sent in another form than the API describes, and how it was read, a sentence each; empty for
    nearly all answers. ``to_dict()`` has it as it came."""

    def to_dict(self) -> dict[str, Any]:
        """This answer as plain JSON values, with every field that the server sent."""
        if self._wire:
            loaded: dict[str, Any] = read(self._wire)
            return loaded
        return declared(self)

    def tokens_used(self) -> CompletionUsage | None:
        """What the call consumed, in chat's terms; None for an answer that names no tokens."""
        return None

    @property
    def billed_attempts(self) -> tuple[BilledAttempt, ...]:
        """Every request that was billed, where one gave no answer or searched; ``usage`` is their sum. Else empty.

        One whose usage never came is among them with the most that it can have used (``usage.estimated``).
        """
        return self._billed

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:  # noqa: ARG002  for those with a usage
        """Let ``usage`` be the ``total`` of all ``attempts``."""
        self._billed = tuple(attempts)

    def with_marks_of(self, other: Self) -> Self:
        """This answer, with what is known of ``other`` beside what its server said: who gave it, what was billed."""
        for field in msgspec.structs.fields(type(self)):
            if field.name == "usage" or (field.encode_name.startswith(OURS) and field.name != "_wire"):
                value = getattr(other, field.name)
                # Not the bytes that it came in, because they may hold what this answer must not.
                setattr(self, field.name, value.detached() if isinstance(value, Counters) else value)
        return self

    def is_whole(self) -> bool:
        """Whether this is all of an answer that would be the same tomorrow, so that it may be stored."""
        return False

    def to_json(self) -> bytes:
        """This answer as JSON; for an answer from the wire, the very bytes that came."""
        if self._wire:
            return self._wire
        return write(self.to_dict())


class OpenAnswer(Answer):
    """An answer that may have fields which nobody declared.

    Python reads every attribute of a class with ``__getattr__`` in its slowest way, declared or not, at ten times the
    cost; so what is strict about its fields, and read chunk by chunk, has none.
    """

    def __getattr__(self, name: str) -> Any:
        return undeclared(self, name)


def bills_of(answer: Answer) -> tuple[BilledAttempt, ...]:
    """Every request that was billed for ``answer``: those that it names, else its own."""
    usage = answer.tokens_used()
    if answer.billed_attempts or answer.cached is not None or usage is None:
        return answer.billed_attempts
    # A message names no moment, and other servers name none, or 0.
    said = moment(getattr(answer, "created", None) or getattr(answer, "created_at", None))
    at = answer._sent_at or said or 0.0  # noqa: SLF001  the call alone writes it
    return (BilledAttempt(getattr(answer, "model", ""), usage, at, None, getattr(answer, "id", None) or None),)
