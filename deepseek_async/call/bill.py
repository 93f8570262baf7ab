"""What one call was billed for, attempt by attempt, once an attempt that was billed came to nothing."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from deepseek_async.types import Answer, BilledAttempt, CompletionUsage
from deepseek_async.types.usage import added

_log: Final = logging.getLogger("deepseek_async")


class Bill(msgspec.Struct, gc=False, eq=False):
    """Grows with every attempt whose usage arrived. A call whose first attempt is answered has none."""

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
        why = None if failure is None else type(failure).__name__
        served, name = getattr(answer, "model", None) or model, getattr(answer, "id", None) or None
        self.attempts += (BilledAttempt(served, usage, at, why, name, model),)
        if usage.corrected is not None:
            _log.warning("what an answer was billed for cannot be as told: %s; %s", usage.corrected, _counted(usage))

    def leave_in(self, answer: Answer) -> None:
        """Let the usage of ``answer`` be the sum."""
        if self.attempts:
            answer.bill(self.attempts, self.usage)


def _counted(usage: CompletionUsage) -> str:
    return f"{usage.prompt_tokens:,} and {usage.completion_tokens:,} tokens are counted"
