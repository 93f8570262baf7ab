"""What one call was billed for, attempt by attempt, once an attempt that was billed came to nothing."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

import msgspec

from deepseek_async.call.metering import NO_USAGE
from deepseek_async.call.searches import UNCOUNTED
from deepseek_async.text.redaction import mask_known
from deepseek_async.types import Answer, BilledAttempt, CompletionUsage
from deepseek_async.types.usage import added

_log: Final = logging.getLogger("deepseek_async")


LOST: Final = "no usage came of this attempt: counted is the most that it can have taken"
"""What a usage says of itself that is an upper bound."""


class Bill(msgspec.Struct, gc=False, eq=False):
    """Grows with every attempt that was billed, or may have been. A call whose first attempt is answered has none."""

    attempts: tuple[BilledAttempt, ...] = ()

    @property
    def usage(self) -> CompletionUsage:
        """The sum of all attempts."""
        return added(attempt.usage for attempt in self.attempts)

    def note(
        self,
        answer: Answer,
        usage: CompletionUsage,
        *,
        model: str,
        at: float,
        failure: BaseException | None = None,
    ) -> None:
        """Take in an attempt: one that ended in ``failure``, or the one after it that did not."""
        served, name = getattr(answer, "model", None) or model, getattr(answer, "id", None) or None
        # Kept in errors, events and outputs, where a key that the server echoes has no place.
        name = name and mask_known(name)
        self.attempts += (BilledAttempt(mask_known(served), usage, at, _name_of(failure), name, model),)
        if usage.corrected == NO_USAGE:
            _say_unnamed(served)
        elif usage.corrected == UNCOUNTED:
            _log.debug("%s (%s)", usage.corrected, _counted(usage))
        elif usage.corrected is not None:
            _log.warning("what an answer was billed for cannot be as told: %s; %s", usage.corrected, _counted(usage))

    def note_lost(self, most: CompletionUsage, *, model: str, at: float, failure: BaseException | None) -> None:
        """Take in an attempt that the server may have billed without anybody having been told: for ``most``."""
        total = most.prompt_tokens + most.completion_tokens
        usage = msgspec.structs.replace(most, total_tokens=total, corrected=LOST)
        self.attempts += (BilledAttempt(model, usage, at, _name_of(failure), None, model),)

    def leave_in(self, answer: Answer) -> None:
        """Let the usage of ``answer`` be the sum."""
        if self.attempts:
            answer.bill(self.attempts, self.usage)


@lru_cache(maxsize=256)
def _say_unnamed(model: str) -> None:
    """Once for each model: it may be so with every answer of its server."""
    _log.warning("no usage came with an answer of %.100r: what such answers are billed for is estimated", model)


def _name_of(failure: BaseException | None) -> str | None:
    return None if failure is None else type(failure).__name__


def _counted(usage: CompletionUsage) -> str:
    fees = ", ".join(f"{count:,} of {kind}" for kind, count in (usage.fees or {}).items())
    if fees and not usage.prompt_tokens:
        return f"{fees} are counted"
    tokens = f"{usage.prompt_tokens:,} and {usage.completion_tokens:,} tokens"
    return f"{tokens}{f', {fees}' if fees else ''} are counted"
