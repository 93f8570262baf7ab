"""What there is to tell about one call, gathered while it runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from deepseek_async.errors import DeepSeekError
from deepseek_async.events import CallEnded, word_for
from deepseek_async.labels import current_labels
from deepseek_async.types import Answer, ChatCompletion, Completion

if TYPE_CHECKING:
    from deepseek_async.call.lifecycle import Call
    from deepseek_async.content import Verdict
    from deepseek_async.pricing import Meter


class Witness:
    """Made when a call begins; ``record`` when it has ended."""

    __slots__ = ("_began", "_labels", "_started", "first_content", "keep_alives", "stale", "tier", "verdict")

    def __init__(self, verdict: Verdict | None) -> None:
        self._began = time.monotonic()
        self._started = time.time()
        self._labels = current_labels()
        self.verdict = verdict
        self.tier: str | None = None
        """Where a cached answer came from."""
        self.stale = False
        """Whether a cached answer stands in the place of an error."""
        self.first_content: float | None = None
        self.keep_alives = 0

    def content_began(self) -> None:
        """The first content of a stream is here."""
        self.first_content = time.monotonic() - self._began

    def record(
        self,
        call: Call,
        origin: str,
        meter: Meter,
        answer: Answer | None,
        error: BaseException | None,
    ) -> CallEnded:
        """The event. ``answer`` is what the caller got, or what had arrived of it before ``error``."""
        usage = None if answer is None else answer.tokens_used()
        served = getattr(answer, "model", None) or None
        at = call.sent_at or self._started
        bought = usage is not None and self.tier is None
        text, finish_reason = _first_choice(answer)
        return CallEnded(
            operation=call.operation,
            origin=origin,
            request=call.wire,
            model=call.model,
            started=self._started,
            duration=time.monotonic() - self._began,
            outcome=self._outcome(error),
            labels=self._labels,
            streamed=call.streaming,
            attempts=call.attempts,
            queued=call.queued,
            first_content=self.first_content,
            served_model=served,
            response_id=getattr(answer, "id", None) or None,
            request_id=call.request_id or (error.request_id if isinstance(error, DeepSeekError) else None),
            finish_reason=finish_reason,
            usage=usage,
            cost=meter.cost(usage, served or call.model, at) if bought and usage is not None else None,
            peak=bought and meter.is_peak(at),
            keep_alives=self.keep_alives,
            tier=self.tier,
            content=self._content(finish_reason),
            error=error,
            answer=text,
        )

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            if self.stale:
                return "stale"
            return "ok" if self.tier is None else "cached"
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return "cancelled"
        return word_for(error)

    def _content(self, finish_reason: str | None) -> str:
        if self.verdict is not None and self.verdict.word != "passed":
            return self.verdict.word
        return "refused" if finish_reason == "content_filter" else "passed"


def _first_choice(answer: Any) -> tuple[str | None, str | None]:
    if isinstance(answer, ChatCompletion) and answer.choices:
        return answer.choices[0].message.content, answer.choices[0].finish_reason
    if isinstance(answer, Completion) and answer.choices:
        return answer.choices[0].text, answer.choices[0].finish_reason
    return None, None
