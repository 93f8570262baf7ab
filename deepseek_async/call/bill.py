"""Usage billed for one call, summed over its attempts, failed ones included."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

import msgspec

from deepseek_async.call.searches import UNCOUNTED
from deepseek_async.call.usage_check import NO_USAGE
from deepseek_async.text.redaction import mask_known
from deepseek_async.types import Answer, BilledAttempt, CompletionUsage
from deepseek_async.types.usage import added

_log: Final = logging.getLogger("deepseek_async")


LOST: Final = "no usage received for this attempt: counted at the most it can have used"
"""``corrected`` of a usage that is an upper bound."""


class Bill(msgspec.Struct, gc=False, eq=False):
    """Billed, or possibly billed, attempts of one call. A call whose first attempt succeeds has no Bill."""

    attempts: tuple[BilledAttempt, ...] = ()

    @property
    def usage(self) -> CompletionUsage:
        """Usage summed over all attempts."""
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
        """Record a billed attempt: one that ended in ``failure``, or the successful one."""
        served, name = getattr(answer, "model", None) or model, getattr(answer, "id", None) or None
        # The id is kept in errors, events and outputs, and a server may echo the key in it.
        name = name and mask_known(name)
        self.attempts += (BilledAttempt(mask_known(served), usage, at, _name_of(failure), name, model),)
        if usage.corrected == NO_USAGE:
            _say_unnamed(served)
        elif usage.corrected == UNCOUNTED:
            _log.debug("%s (%s)", usage.corrected, _counted(usage))
        elif usage.corrected is not None:
            _log.warning("implausible usage corrected: %s; %s", usage.corrected, _counted(usage))

    def note_lost(self, most: CompletionUsage, *, model: str, at: float, failure: BaseException | None) -> None:
        """Record an attempt of unknown usage that the server may have billed, at its maximum ``most``."""
        total = most.prompt_tokens + most.completion_tokens
        usage = msgspec.structs.replace(most, total_tokens=total, corrected=LOST)
        self.attempts += (BilledAttempt(model, usage, at, _name_of(failure), None, model),)

    def leave_in(self, answer: Answer) -> None:
        """Set the usage of ``answer`` to the sum of all attempts."""
        if self.attempts:
            answer.bill(self.attempts, self.usage)


@lru_cache(maxsize=256)
def _say_unnamed(model: str) -> None:
    """Warn once per model: its server may omit usage from every answer."""
    _log.warning("no usage reported for an answer of %.100r: usage of its answers is estimated", model)


def _name_of(failure: BaseException | None) -> str | None:
    return None if failure is None else type(failure).__name__


def _counted(usage: CompletionUsage) -> str:
    fees = ", ".join(f"{count:,} of {kind}" for kind, count in (usage.fees or {}).items())
    if fees and not usage.prompt_tokens:
        return f"{fees} counted"
    tokens = f"{usage.prompt_tokens:,} and {usage.completion_tokens:,} tokens"
    return f"{tokens}{f', {fees}' if fees else ''} counted"
