"""What one call was billed, attempt by attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from deepseek_async.admission import Lease, ModelLimiter
from deepseek_async.call.bill import Bill
from deepseek_async.call.budget_hold import may_have_used, most_of
from deepseek_async.call.request import Request
from deepseek_async.call.target import Target
from deepseek_async.call.usage_check import metered
from deepseek_async.types import Answer, BilledAttempt, ChatCompletion, CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.admission.budget.charge import Reservation
    from deepseek_async.admission.budget.joint_budget import JointBudget


class BilledCall(msgspec.Struct, gc=False, eq=False, kw_only=True):
    """A call as its account sees it: attempts that cost money, whether they succeed or not."""

    target: Target
    """Server of the next attempt."""
    limiter: ModelLimiter
    """Limits of the next attempt's model there."""
    request: Request
    budget: Budget | JointBudget | None = None
    """Reserves the maximum cost of each attempt."""
    sent_at: float | None = None
    """Unix time at which the last request was sent; it decides the price."""
    bill: Bill | None = None
    """Billed usage, once an attempt that was billed has failed."""
    _most: CompletionUsage | None = None
    _charges: list[Reservation] | None = None
    """Budget charges, one per attempt; None without a budget."""

    @property
    def model(self) -> str:
        """The model of the next attempt."""
        return self.limiter.model

    @property
    def charged(self) -> float | None:
        """US dollars charged to the budget for all attempts; None without a budget or before the first attempt."""
        return sum([charge.dollars for charge in self._charges]) if self._charges else None

    def counted(self, answer: Answer, *, estimate: bool = True) -> CompletionUsage | None:
        """Return what ``answer`` was billed for (see ``metered``), and record it if it differs from what the server
        reported."""
        usage = metered(answer, self.request, estimate=estimate)
        paid = usage is not None and usage.fees is not None and not self.request.operation.has_fee
        if usage is not None and (self.bill is not None or usage.corrected is not None or paid):
            self.billed(answer, usage)
        return usage

    def billed(self, answer: Answer, usage: CompletionUsage, failure: BaseException | None = None) -> None:
        """Record a billed attempt: one that ended in ``failure``, or the later one that returned ``answer``."""
        self.bill = self.bill or Bill()
        self.bill.note(answer, usage, model=self.model, at=self.sent_at or 0.0, failure=failure)

    def bills(self, answer: ChatCompletion | None = None) -> tuple[BilledAttempt, ...]:
        """Return the billed attempts of a call that has ended, with ``answer`` or by failing."""
        if self.bill is not None:
            return self.bill.attempts
        if answer is None or answer.usage is None or answer.cached is not None:
            return ()
        at, response_id = self.sent_at or time.time(), answer.id or None
        return (BilledAttempt(answer.model, answer.usage, at, response_id=response_id, asked=self.model),)

    def lose(self, lease: Lease, failure: BaseException | None) -> None:
        """Record, once per lease, the most that the server may have billed for an attempt without reported usage."""
        if lease.lost and self.request.operation.output != "nothing":
            lease.lost = False
            self.bill = self.bill or Bill()
            used = may_have_used(self._most or most_of(self.request), lease.produced)
            self.bill.note_lost(used, model=self.model, at=self.sent_at or 0.0, failure=failure)
