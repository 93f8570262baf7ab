"""Limits of one account on one model, and the effect of each ending of an attempt on them."""

from __future__ import annotations

import asyncio
import copy
import logging
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission.admission_policy import AdmissionPolicy
from deepseek_async.admission.concurrency_limit import ConcurrencyLimit, FixedLimit
from deepseek_async.admission.origin_health import OriginHealth
from deepseek_async.admission.outage.breaker import Breaker
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.admission.retry_queue import RetryQueue
from deepseek_async.admission.wait_queue import WaitQueue
from deepseek_async.deprecated_names import attribute
from deepseek_async.errors import APIError, CircuitOpenError
from deepseek_async.process.tracebacks import without_frames

if TYPE_CHECKING:
    from deepseek_async.admission.sharing.membership import Membership

_log = logging.getLogger("deepseek_async")

_MOST_CORRECTION: Final = 4
_SMALL_CORRECTION: Final = 1024
"""Tokens by which one answer may correct the token bucket beyond its reservation. A bogus usage of a million tokens
must not block all calls for minutes."""

_BETWEEN_WARNINGS: Final = 60.0

_RENAMED: Final = {"slots": "queue", "turnstile": "policy"}


class Blame(Enum):
    """What a failed attempt is evidence against."""

    SERVICE = "service"
    """Wrong or incomplete answer: counts for the breaker of the model."""
    ORIGIN = "origin"
    """Unreachable: counts for the breaker of the origin."""
    NOBODY = "nobody"


class ModelLimits:
    """Concurrency limit, circuit breaker, rate limits, retry credit and queue."""

    __slots__ = (
        "_answered_at",
        "_rates",
        "_told_of_balance",
        "backing_off",
        "breaker",
        "loop",
        "membership",
        "model",
        "origin",
        "pause_reason",
        "policy",
        "queue",
        "retries",
        "tickets",
        "window",
    )

    def __init__(
        self,
        model: str,
        window: ConcurrencyLimit,
        origin: OriginHealth,
        breaker: Breaker | None,
        rates: RateLimits | None,
    ) -> None:
        self._rates = rates
        self.model: Final = model
        self.loop: Final = origin.loop
        self.window: Final = window
        self.breaker: Final = breaker
        self.origin: Final = origin
        breakers = tuple(each for each in (origin.breaker, breaker) if each is not None)
        self.policy: Final = AdmissionPolicy(window, breakers)
        self.backing_off = 0
        """Calls waiting for their next attempt."""
        self.queue: Final = WaitQueue(self.policy, self.loop)
        self.retries: Final = RetryQueue(self.loop, taken=window.taken, is_idle=self._nothing_runs)
        self.tickets: Final = count()
        """Arrival order of calls, kept when a call is requeued."""
        self.pause_reason: APIError | None = None
        """The error with which the server requested the last pause."""
        self.membership: Membership | None = None
        """Membership in a group of processes that share the account's limit, if any."""
        self._told_of_balance = -_BETWEEN_WARNINGS
        self._answered_at = -float("inf")

    def _nothing_runs(self) -> bool:
        return not self.window.in_flight and not self.queue.waiting

    @property
    def finds_limit(self) -> bool:
        """Whether the concurrency limit adapts to refusals, so that refused calls may be retried at once."""
        return not isinstance(self.window, FixedLimit)

    def silence(self, since: float) -> float:
        """Return the seconds without an answer, counted from ``since`` at the earliest."""
        return self.loop.time() - max(since, self._answered_at)

    # Endings of attempts.

    def succeeded(self, began: float, now: float) -> None:
        """Record an answer."""
        self._answered_at = now
        self.origin.reached(began, now)
        if self.breaker is not None and self.breaker.succeeded(began, now):
            self._closed()
        self.retries.succeeded()

    def proven(self, began: float, now: float) -> None:
        """Record the first content, which is all that a probe of the breaker needs."""
        self._answered_at = now
        if self.breaker is not None and not self.breaker.closed and self.breaker.succeeded(began, now):
            self._closed()

    def failed(self, attempt: Any, began: float, now: float, blame: Blame, *, bulk: bool) -> None:
        """Record a failure."""
        taken = self.window.taken(now)
        alone = not (bulk or self.window.in_flight or self.queue.waiting or self.backing_off)
        if blame is Blame.ORIGIN:
            if self.breaker is not None:
                self.breaker.ended(attempt)
            self.origin.failed(attempt, began, now, taken, alone=alone)
        elif blame is Blame.SERVICE:
            self.origin.reached(began, now)
            if self.breaker is not None and self.breaker.failed(attempt, began, now, taken, alone=alone):
                self._opened()
        else:
            self.neutral(attempt)

    def neutral(self, attempt: Any) -> None:
        """Record an ending without evidence about the server."""
        for breaker in self.policy.breakers:
            breaker.ended(attempt)

    def settle(self, reserved: int, used: int) -> None:
        """Correct the token reservation to the actual usage."""
        rates = self._rates
        if rates is not None:
            rates.settle(reserved, min(used, _MOST_CORRECTION * reserved + _SMALL_CORRECTION))

    def unsent(self, reserved: int) -> None:
        """Return the reservation of an attempt that was never sent."""
        rates = self._rates
        if rates is not None:
            rates.cancel(reserved)

    async def back_off(self, seconds: float) -> None:
        """Wait before the next attempt of a call."""
        self.backing_off += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.backing_off -= 1

    # Effects on the whole model.

    def pause(self, seconds: float, reason: APIError) -> None:
        """Start nothing for ``seconds``, as the server requested with ``reason``."""
        # Frames removed: they hold a call with its prompt, and the error outlives the call.
        self.pause_reason = without_frames(copy.copy(reason))
        self.policy.pause(self.loop.time() + seconds)

    def poor(self, limit: int, current: int) -> None:
        """Warn, at most once a minute, that a low balance reduces the limit; a 402 is near."""
        now = self.loop.time()
        if now - self._told_of_balance >= _BETWEEN_WARNINGS:
            self._told_of_balance = now
            _log.warning(
                "low balance limits %s to %d concurrent requests (server counted %d); top up the account",
                self.model,
                limit,
                current,
            )

    def out_of_descriptors(self) -> None:
        """Record that the process ran out of file descriptors."""
        self.policy.out_of_descriptors(self.loop.time())
        _log.warning("too many open files (ulimit -n): concurrency of %s reduced for now", self.model)

    def refuse(self, breaker: Breaker, *, bulk: bool = False) -> None:
        """Fail waiting interactive calls while ``breaker`` is open; with ``bulk`` all waiting calls."""
        self.queue.dismiss(lambda: self.circuit_open(breaker), bulk=bulk)

    def reset(self) -> None:
        """Close the breaker, end a pause and refill the retry credit."""
        if self.breaker is not None:
            self.breaker.reset()
        self.policy.paused_until = -float("inf")
        self.retries.release()
        self.queue.serve(self.loop.time())

    def _opened(self) -> None:
        breaker = self.breaker
        assert breaker is not None  # noqa: S101  called when it opens
        _log.warning(
            "circuit breaker opened for %s: next probe in %.0f s", self.model, breaker.retry_after(self.loop.time())
        )
        self.refuse(breaker)

    def _closed(self) -> None:
        _log.warning("circuit breaker closed for %s: probe succeeded", self.model)
        self.window.restart(self.loop.time())
        self.retries.release()
        self.queue.serve(self.loop.time())

    def circuit_open(self, breaker: Breaker) -> CircuitOpenError:
        """Return the error for a call that ``breaker`` stops."""
        wait = breaker.retry_after(self.loop.time())
        origin_down = breaker is self.origin.breaker
        scope = self.origin.address if origin_down else self.model
        return CircuitOpenError(
            f"circuit breaker open for {scope} after repeated failures: not sent, retry in {wait:.0f} s",
            retry_after=wait,
            scope=scope,
            origin_down=origin_down,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight or waiting."""
        return not (self.window.in_flight or self.queue.waiting or self.retries.waiting)

    def dismiss(self, error: APIError) -> None:
        """Fail all calls waiting for a slot or for retry credit with a copy of ``error``."""
        self.queue.dismiss(lambda: copy.copy(error), bulk=True)
        self.retries.dismiss(error)

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)
