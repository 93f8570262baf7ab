"""The admission of attempts to one model of an account: circuit breaker, rate, place in the queue, then a lease."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Final

from deepseek_async.admission.concurrency_limit import ConcurrencyLimit
from deepseek_async.admission.lease import Lease
from deepseek_async.admission.model_limits import ModelLimits
from deepseek_async.admission.origin import Origin
from deepseek_async.admission.outage.breaker import Breaker
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.admission.statistics import ModelStatistics

if TYPE_CHECKING:
    from deepseek_async.admission.sharing.membership import Membership

LONGEST_INTERACTIVE_PAUSE: Final = 120.0
"""Seconds that an interactive call waits because the server asked for it; a longer wait is the caller's decision."""


class ModelLimiter(ModelLimits):
    """Makes the leases of one model. Waiting for a rate holds nothing; a place is scarce and comes last."""

    __slots__ = ("membership",)

    def __init__(
        self,
        model: str,
        window: ConcurrencyLimit,
        origin: Origin,
        breaker: Breaker | None,
        rates: RateLimits | None,
    ) -> None:
        super().__init__(model, window, origin, breaker, rates)
        self.membership: Membership | None = None
        """With other processes that use the account, if there may be any."""

    def admit_nowait(self, tokens: int, *, bulk: bool) -> Lease | None:
        """A lease if an attempt may start without any wait; None otherwise."""
        if self._rates is not None:
            return None
        now = self.loop.time()
        attempt = self.queue.take_nowait(now, bulk=bulk)
        return None if attempt is None else Lease(self, attempt, tokens, bulk, now)

    async def admit(self, ticket: int, tokens: int, *, bulk: bool, until: float | None = None) -> Lease:
        """Wait until one attempt of about ``tokens`` tokens may start.

        Bulk waits out an open breaker and a long pause; an interactive call raises CircuitOpenError, or the
        error in which the server asked for the pause. Raises TimeoutError when ``until`` cannot be kept.
        """
        rates = self._rates
        self._raise_if_down(bulk=bulk)
        if rates is None:
            attempt = await self.queue.take(ticket, bulk=bulk)
        else:
            await rates.wait(tokens, until)
            try:
                self._raise_if_down(bulk=bulk)
                attempt = await self.queue.take(ticket, bulk=bulk)
            except BaseException:
                rates.cancel(tokens)
                raise
        now = self.loop.time()
        lease = Lease(self, attempt, tokens, bulk, now)
        if until is not None and now > until:  # the loop stood still, and nobody waits for an answer any more
            lease.abandoned(sent=False)
            raise TimeoutError
        return lease

    def _raise_if_down(self, *, bulk: bool) -> None:
        now = self.loop.time()
        if bulk:
            if self.origin.breaker is not None and not self.origin.ever_reached and not self.origin.breaker.admits(now):
                raise self.circuit_open(self.origin.breaker)
            return
        for breaker in self.policy.breakers:
            if not breaker.admits(now):
                raise self.circuit_open(breaker)
        pause = self.policy.paused_until - now
        if pause > LONGEST_INTERACTIVE_PAUSE and self.pause_reason is not None:
            reason = copy.copy(self.pause_reason)
            reason.retry_after, reason.attempts = pause, 0
            raise reason

    def leave_group(self) -> None:
        """The last call of it has been made."""
        if self.membership is not None:
            self.membership.close()
            self.membership = None

    def statistics(self) -> ModelStatistics:
        """The state now."""
        now = self.loop.time()
        return ModelStatistics(
            model=self.model,
            window=self.window.statistics(now),
            shared=None if self.membership is None else self.membership.where,
            queued_bulk=self.queue.waiting_bulk,
            queued_interactive=self.queue.waiting_interactive,
            waiting_for_credit=self.retries.waiting,
            paused_for=max(0.0, self.policy.paused_until - now),
            breaker=self.breaker.state.value if self.breaker is not None else None,
            breaker_opened=self.breaker.opened if self.breaker is not None else 0,
            retry_credit=self.retries.credit.balance,
        )
