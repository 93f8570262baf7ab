"""What limits the attempts of one account on one model, and what each ending of an attempt does to it."""

from __future__ import annotations

import asyncio
import copy
import logging
from enum import Enum
from itertools import count
from typing import Any, Final

from deepseek_async.admission.admission_policy import AdmissionPolicy
from deepseek_async.admission.concurrency_limit import ConcurrencyLimit, FixedLimit
from deepseek_async.admission.origin import Origin
from deepseek_async.admission.outage.breaker import Breaker
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.admission.retry_queue import RetryQueue
from deepseek_async.admission.wait_queue import WaitQueue
from deepseek_async.errors import APIError, CircuitOpenError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.renamed import attribute

_log = logging.getLogger("deepseek_async")

_MOST_CORRECTION: Final = 4
_SMALL_CORRECTION: Final = 1024
"""Tokens: how far one answer may take the tokens-a-minute limit from what was reserved for it. Whoever reports a
million for a line of text must not hold up everybody for minutes."""

_BETWEEN_WARNINGS: Final = 60.0

_RENAMED: Final = {"slots": "queue", "turnstile": "policy"}


class Blame(Enum):
    """Whom a failed attempt speaks against."""

    SERVICE = "service"
    """It answered wrongly or broke off: counts for the breaker of the model."""
    ORIGIN = "origin"
    """It could not be reached at all: counts for the breaker of the origin."""
    NOBODY = "nobody"


class ModelLimits:
    """Concurrency limit, circuit breaker, rates, retry credit and the queue before them."""

    __slots__ = (
        "_answered_at",
        "_rates",
        "_told_of_balance",
        "backing_off",
        "breaker",
        "loop",
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
        origin: Origin,
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
        """Calls that wait to be sent again."""
        self.queue: Final = WaitQueue(self.policy, self.loop)
        self.retries: Final = RetryQueue(self.loop, taken=window.taken, is_idle=self._nothing_runs)
        self.tickets: Final = count()
        """Order in which calls came, which a requeued one keeps."""
        self.pause_reason: APIError | None = None
        """In which the server asked for the last pause."""
        self._told_of_balance = -_BETWEEN_WARNINGS
        self._answered_at = -float("inf")

    def _nothing_runs(self) -> bool:
        return not self.window.in_flight and not self.queue.waiting

    @property
    def finds_limit(self) -> bool:
        """Whether the window reacts to refusals, so that refused calls may come back at once."""
        return not isinstance(self.window, FixedLimit)

    def silence(self, since: float) -> float:
        """Seconds in which nobody was answered, counted from ``since`` at the earliest."""
        return self.loop.time() - max(since, self._answered_at)

    # What endings of attempts mean.

    def succeeded(self, began: float, now: float) -> None:
        """The attempt gave an answer."""
        self._answered_at = now
        self.origin.reached(began, now)
        if self.breaker is not None and self.breaker.succeeded(began, now):
            self._closed()
        self.retries.succeeded()

    def proven(self, began: float, now: float) -> None:
        """The first content arrived: all that a probe has to show."""
        self._answered_at = now
        if self.breaker is not None and not self.breaker.closed and self.breaker.succeeded(began, now):
            self._closed()

    def failed(self, attempt: Any, began: float, now: float, blame: Blame, *, bulk: bool) -> None:
        """The attempt failed."""
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
        """The attempt ended without saying anything about the other side."""
        for breaker in self.policy.breakers:
            breaker.ended(attempt)

    def settle(self, reserved: int, used: int) -> None:
        """Correct the reserved tokens to what was really used."""
        rates = self._rates
        if rates is not None:
            rates.settle(reserved, min(used, _MOST_CORRECTION * reserved + _SMALL_CORRECTION))

    def unsent(self, reserved: int) -> None:
        """An attempt was given up before anything was sent."""
        rates = self._rates
        if rates is not None:
            rates.cancel(reserved)

    async def back_off(self, seconds: float) -> None:
        """Wait before a call is sent again."""
        self.backing_off += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.backing_off -= 1

    # What concerns the whole model.

    def pause(self, seconds: float, reason: APIError) -> None:
        """Start nothing for ``seconds``, because the server asked for it in ``reason``."""
        # Without its frames: they hold a call with its prompt, and this one outlives it.
        self.pause_reason = without_frames(copy.copy(reason))
        self.policy.pause(self.loop.time() + seconds)

    def poor(self, limit: int, current: int) -> None:
        """The server says that the remaining balance lowers the limit. Said once a minute; a 402 is near."""
        now = self.loop.time()
        if now - self._told_of_balance >= _BETWEEN_WARNINGS:
            self._told_of_balance = now
            _log.warning(
                "the remaining balance limits %s to %d requests at a time (%d were counted); top up the account",
                self.model,
                limit,
                current,
            )

    def out_of_descriptors(self) -> None:
        """This process may open no more files."""
        self.policy.out_of_descriptors(self.loop.time())
        _log.warning("this process may open no more files (ulimit -n); fewer requests of %s run for now", self.model)

    def refuse(self, breaker: Breaker, *, bulk: bool = False) -> None:
        """Calls with somebody waiting for them fail at once while ``breaker`` is open; with ``bulk`` all do."""
        self.queue.dismiss(lambda: self.circuit_open(breaker), bulk=bulk)

    def reset(self) -> None:
        """Close the breaker, end a pause, and fill the retry credit."""
        if self.breaker is not None:
            self.breaker.reset()
        self.policy.paused_until = -float("inf")
        self.retries.release()
        self.queue.serve(self.loop.time())

    def _opened(self) -> None:
        breaker = self.breaker
        assert breaker is not None  # noqa: S101  it has just opened
        _log.warning("breaker of %s opened; next request in %.0f s", self.model, breaker.retry_after(self.loop.time()))
        self.refuse(breaker)

    def _closed(self) -> None:
        _log.warning("breaker of %s closed: a request was answered", self.model)
        self.window.restart(self.loop.time())
        self.retries.release()
        self.queue.serve(self.loop.time())

    def circuit_open(self, breaker: Breaker) -> CircuitOpenError:
        """What a call gets that is not sent because of ``breaker``."""
        wait = breaker.retry_after(self.loop.time())
        origin_down = breaker is self.origin.breaker
        scope = self.origin.address if origin_down else self.model
        return CircuitOpenError(
            f"{scope} has failed again and again and is left alone for {wait:.0f} s more (the circuit breaker is "
            f"open); nothing was sent",
            retry_after=wait,
            scope=scope,
            origin_down=origin_down,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs or waits."""
        return not (self.window.in_flight or self.queue.waiting or self.retries.waiting)

    def dismiss(self, error: APIError) -> None:
        """Whoever waits, for a turn or for retry credit, gets a copy of ``error``."""
        self.queue.dismiss(lambda: copy.copy(error), bulk=True)
        self.retries.dismiss(error)

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)
