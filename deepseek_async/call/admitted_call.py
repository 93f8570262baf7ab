"""Admission of one call: budget and a free slot for its next attempt, or the deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deepseek_async.admission import Lease
from deepseek_async.call.billed_call import BilledCall
from deepseek_async.call.budget_hold import deadline_passed, hold, most_of
from deepseek_async.call.retry import is_everybodys
from deepseek_async.call.target import Target
from deepseek_async.errors import APIError, RateLimitError
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.admission.budget.charge import Reservation
    from deepseek_async.admission.budget.joint_budget import JointBudget


class AdmittedCall(BilledCall, gc=False, eq=False, kw_only=True):
    """A call as the queue sees it: it waits, within its deadline, for each attempt."""

    timeouts: Timeouts
    tokens: int
    """Estimate for the tokens-per-minute limit."""
    bulk: bool
    """Whether nobody waits for the answer: it gives way to interactive calls, and waits where they fail fast."""
    queued: float = 0.0
    """Seconds spent waiting for admission so far."""
    attempts: int = 0
    """Requests sent so far."""
    fallback: str | None = None
    """Model or endpoint that answers instead of the requested one; None without a fallback."""
    _began: float = 0.0
    _until: float | None = None
    _ticket: int = 0
    _earlier: int = 0
    """Attempts made at earlier targets."""
    _returns: int = 0  # free attempts at this target
    _waiting: bool = False
    _refused: APIError | None = None
    """Last refusal that put the call back into the queue."""

    def begin(self) -> None:
        """Start the deadline and take a place in the queue."""
        if self.bulk:
            # The call may have been prepared long ago: idle limiters are dropped when there are many models.
            self.limiter = self.target.account_limiter.limiter(self.limiter.model)
        self._began = self.target.loop.time()
        self._ticket = next(self.limiter.tickets)
        if self.timeouts.total is not None:
            self._until = self._began + self.timeouts.total

    @property
    def waits(self) -> bool:
        """Whether nothing is in flight and nothing was billed."""
        return self._waiting and self.bill is None

    async def _lease(self) -> Lease:
        """Return permission for one attempt."""
        budget = self.budget
        if budget is None or self.request.operation.output == "nothing":
            return self.limiter.admit_nowait(self.tokens, bulk=self.bulk) or await self._admit()
        # Budget before admission: a call that cannot be paid for must not wait in the queue.
        most = self._most = self._most or most_of(self.request)
        charge = budget.hold_nowait(most, self.limiter.model) or await self._hold(budget, most)
        try:
            lease = self.limiter.admit_nowait(self.tokens, bulk=self.bulk) or await self._admit()
        except BaseException:
            charge.abandoned(sent=False)
            raise
        lease.charge = charge
        self._charges = [*self._charges, charge] if self._charges else [charge]
        return lease

    async def _hold(self, budget: Budget | JointBudget, most: CompletionUsage) -> Reservation:
        """Reserve budget for one attempt, possibly on a cheaper model, as soon as it is available."""
        self._waiting = True
        began = self.target.loop.time()
        try:
            charge = await hold(budget, most, self.request, self.model, self._until)
        except TimeoutError:
            raise deadline_passed(
                "for budget: other calls must end or the budget's next day begin", self.attempts
            ) from None
        finally:
            self.queued += self.target.loop.time() - began
        if charge.model != self.model:
            self._turn_to(self.target, charge.model)
            self.fallback = charge.model
        return charge

    async def _admit(self) -> Lease:
        """Wait for admission until the call's deadline."""
        limiter, until, self._waiting = self.limiter, self._until, True
        began = limiter.loop.time()
        try:
            async with asyncio.timeout_at(until):
                lease = await limiter.admit(self._ticket, self.tokens, bulk=self.bulk, until=until)
        except TimeoutError:
            failure, self._refused = self._refused or deadline_passed("for a free slot or a limit", self.attempts), None
        else:
            self.queued += limiter.loop.time() - began
            halt = self.target.halt
            if halt is not None and halt.at >= began:
                lease.abandoned(sent=False)
                halt.stop()
            return lease
        raise self.given_up(failure)

    def given_up(self, failure: APIError) -> APIError:
        """Return ``failure`` with the attempts and billing of the call."""
        self._waiting = False
        failure.attempts = self.attempts
        if self.bulk and isinstance(failure, RateLimitError):
            failure.lasting = is_everybodys(failure, self.limiter.silence(self._began))
        if self.bill is not None:
            failure.billed_attempts = self.bill.attempts
            if failure.partial is not None:
                self.bill.leave_in(failure.partial)
        return failure

    def _turn_to(self, target: Target, model: str) -> None:
        elsewhere, self.target = target.origin != self.target.origin, target
        self.limiter = target.account_limiter.limiter(model)
        self._ticket = next(self.limiter.tickets)
        self.request = self.request.asking(model, self.target.limits.request, elsewhere=elsewhere)
        self._earlier, self._returns = self.attempts, 0
