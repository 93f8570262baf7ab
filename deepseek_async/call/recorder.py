"""Data of one call for its CallEnded event, collected while it runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from deepseek_async.errors import DeepSeekError
from deepseek_async.events import CallEnded, word_for
from deepseek_async.labels import current_labels
from deepseek_async.types import (
    Answer,
    ChatCompletion,
    Completion,
    CompletionChoice,
    CreateEmbeddingResponse,
    FeeCharge,
    Message,
    Response,
)

if TYPE_CHECKING:
    from deepseek_async.call.lifecycle import Attempts
    from deepseek_async.content import Verdict
    from deepseek_async.pricing.prices import Meter
from deepseek_async.text.redaction import mask_known

_CHOOSING: Final = (ChatCompletion, Completion)


class CallRecorder:
    """Collects from the start of a call; ``record`` builds its event at the end."""

    __slots__ = ("_began", "_labels", "_started", "first_content", "keep_alives", "stale", "tier", "verdict")

    def __init__(self, verdict: Verdict | None) -> None:
        self._began = time.monotonic()
        self._started = time.time()
        self._labels = current_labels()
        self.verdict = verdict
        self.tier: str | None = None
        """Cache tier of the answer; None if it came from the server."""
        self.stale = False
        """Whether a stale cached answer replaced an error."""
        self.first_content: float | None = None
        self.keep_alives = 0

    def content_began(self) -> None:
        """Record the time of a stream's first content."""
        self.first_content = time.monotonic() - self._began

    def record(
        self,
        call: Attempts,
        meter: Meter,
        answer: Answer | None,
        error: BaseException | None,
    ) -> CallEnded:
        """Build the event. ``answer`` is what the caller got, or what had arrived before ``error``."""
        # Not split into functions: this runs for every call.
        usage = cost = served = response_id = finish_reason = text = None
        fees: tuple[FeeCharge, ...] = ()
        peak = False
        if answer is not None:
            usage = answer.tokens_used()
            if isinstance(answer, _CHOOSING):
                served, response_id = answer.model or None, answer.id or None
                if answer.choices:
                    choice = answer.choices[0]
                    finish_reason = choice.finish_reason
                    text = choice.text if isinstance(choice, CompletionChoice) else choice.message.content
            elif isinstance(answer, Response):
                served, response_id = answer.model or None, answer.id or None
                finish_reason, text = answer.finish_reason, answer.output_text
            elif isinstance(answer, Message):
                served, response_id = answer.model or None, answer.id or None
                finish_reason, text = answer.finish_reason, answer.text
            elif isinstance(answer, CreateEmbeddingResponse):
                served = answer.model or None
            if usage is not None and self.tier is None:
                at = call.sent_at or self._started
                rate = meter.rate_of(served, call.model, at)
                cost, peak = rate.cost(usage), rate.factor != 1.0
                if usage.fees:
                    fees = rate.fees_of(usage)
        if call.bill is not None:
            usage, cost = call.bill.usage, meter.charge(call.bill.attempts)[0]
            fees = meter.fees(call.bill.attempts)
        cost = _settled(call, cost, fees)
        verdict = self.verdict
        if verdict is not None and verdict.word != "passed":
            content = verdict.word
        else:
            content = "refused" if finish_reason == "content_filter" else "passed"
        told = f"{served}\n{response_id}\n{finish_reason}\n{text}"
        if mask_known(told) is not told:  # one look, because nearly none of them has anything to mask
            served, response_id = served and mask_known(served), response_id and mask_known(response_id)
            finish_reason, text = finish_reason and mask_known(finish_reason), text and mask_known(text)
        request = call.request
        # Positional, in field order: keyword arguments make construction twenty times slower.
        return CallEnded(
            request.operation.name,  # operation
            call.target.origin,  # origin
            request.told,  # request
            call.model,  # model
            self._started,  # started
            time.monotonic() - self._began,  # duration
            "ok" if error is None and self.tier is None else self._outcome(error),  # outcome
            self._labels,  # labels
            call.streaming,  # streamed
            call.attempts,  # attempts
            call.queued,  # queued
            self.first_content,  # first_content
            served,  # served_model
            response_id,
            call.request_id or (error.request_id if isinstance(error, DeepSeekError) else None),  # request_id
            finish_reason,
            usage,
            cost,
            peak,
            self.keep_alives,  # keep_alives
            self.tier,  # tier
            content,
            error,
            text,  # answer
            request.outgoing.path,  # path
            () if call.bill is None else call.bill.attempts,  # billed_attempts
            fees,
        )

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            return "stale" if self.stale else "cached"
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return "cancelled"
        return word_for(error)


def _settled(call: Attempts, cost: float | None, fees: tuple[FeeCharge, ...]) -> float | None:
    """Return the final cost of ``call``: as charged to the budget, if there is one."""
    charged = call.charged
    if charged is not None:
        return charged
    if fees and any(fee.usd is None for fee in fees):
        return None  # a partial sum would pass for the total
    return 0.0 if cost is None and call.request.operation.output == "nothing" and call.attempts else cost
