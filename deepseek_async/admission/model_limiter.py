"""Admission of attempts to one model of an account: circuit breaker, rate limits, queue, then a lease."""

from __future__ import annotations

import copy
from typing import Final

from deepseek_async.admission.lease import Lease
from deepseek_async.admission.model_limits import ModelLimits
from deepseek_async.admission.statistics import ModelStatistics

LONGEST_INTERACTIVE_PAUSE: Final = 120.0
"""Longest pause in seconds that an interactive call waits out; after longer ones it raises."""


class ModelLimiter(ModelLimits):
    """Grants the leases of one model. Rate waits come first and hold no slot; slots are scarce and come last."""

    __slots__ = ()

    def admit_nowait(self, tokens: int, *, bulk: bool) -> Lease | None:
        """Return a lease if an attempt may start without waiting, else None."""
        if self._rates is not None:
            return None
        now = self.loop.time()
        attempt = self.queue.take_nowait(now, bulk=bulk)
        return None if attempt is None else Lease(self, attempt, tokens, bulk, now)

    async def admit(self, ticket: int, tokens: int, *, bulk: bool, until: float | None = None) -> Lease:
        """Wait until one attempt of about ``tokens`` tokens may start.

        Batch work waits out an open breaker and a long pause; an interactive call raises CircuitOpenError, or the
        error with which the server requested the pause. Raises TimeoutError if ``until`` cannot be met.
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
        if until is not None and now > until:  # the loop was blocked past the deadline
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
        """Leave the group after the last call."""
        if self.membership is not None:
            self.membership.close()
            self.membership = None

    def statistics(self) -> ModelStatistics:
        """Return the current state."""
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
