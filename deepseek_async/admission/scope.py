"""Everything that is limited together: the attempts of one account on one model."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission.lease import Blame, Lease
from deepseek_async.admission.outage.breaker import Breaker
from deepseek_async.admission.outage.credit import RetryCredit
from deepseek_async.admission.rate import RateLimits
from deepseek_async.admission.slots import Slots
from deepseek_async.admission.statistics import ScopeStatistics
from deepseek_async.admission.turnstile import Turnstile
from deepseek_async.admission.window import FixedWindow, Window
from deepseek_async.errors import APIError, CircuitOpenError
from deepseek_async.tracebacks import without_frames

if TYPE_CHECKING:
    from deepseek_async.admission.gate import Gate
    from deepseek_async.admission.sharing.membership import Membership

_log = logging.getLogger("deepseek_async")

LONGEST_INTERACTIVE_PAUSE: Final = 120.0
"""Seconds that an interactive call waits because the server asked for it; a longer wait is the caller's decision."""

_LONE_RETRY: Final = 1.0
"""Seconds between two retries without credit, made only while nothing else of the scope runs: without them rows
that wait for credit would wait for ever, because credit comes from successes."""

_MOST_CORRECTION: Final = 4
_SMALL_CORRECTION: Final = 1024
"""Tokens: how far one answer may take the tokens-a-minute limit from what was reserved for it. Whoever reports a
million for a line of text must not hold up everybody for minutes."""

_BETWEEN_WARNINGS: Final = 60.0


class Scope:
    """Doors in the order of the gate: breaker, rate, slot. Made by the gate, one for each model."""

    __slots__ = (
        "_answered_at",
        "_credit_timer",
        "_credit_waiters",
        "_gate",
        "_last_lone_retry",
        "_pause_reason",
        "_rates",
        "_told_of_balance",
        "backing_off",
        "breaker",
        "credit",
        "loop",
        "membership",
        "model",
        "origin",
        "slots",
        "tickets",
        "turnstile",
        "window",
    )

    def __init__(
        self,
        model: str,
        window: Window,
        gate: Gate,
        breaker: Breaker | None,
        rates: RateLimits | None,
    ) -> None:
        self._gate = gate
        self._rates = rates
        self.model: Final = model
        self.loop: Final = gate.loop
        self.window: Final = window
        self.breaker: Final = breaker
        self.origin: Final = gate.origin_breaker
        breakers = tuple(each for each in (self.origin, breaker) if each is not None)
        self.turnstile: Final = Turnstile(window, breakers)
        self.backing_off = 0
        """Calls that wait to be sent again."""
        self.slots: Final = Slots(self.turnstile, self.loop)
        self.membership: Membership | None = None
        """With other processes that use the account, if there may be any."""
        self.credit: Final = RetryCredit()
        self.tickets: Final = count()
        """Order in which calls came, which a requeued one keeps."""
        self._pause_reason: APIError | None = None
        self._told_of_balance = -_BETWEEN_WARNINGS
        self._credit_waiters: deque[asyncio.Future[None]] = deque()
        self._credit_timer: asyncio.TimerHandle | None = None
        self._last_lone_retry = -_LONE_RETRY
        self._answered_at = -float("inf")

    # The doors.

    def admit_nowait(self, tokens: int, *, bulk: bool) -> Lease | None:
        """A lease if an attempt may start without any wait; None otherwise."""
        if self._rates is not None:
            return None
        now = self.loop.time()
        attempt = self.slots.take_nowait(now, bulk=bulk)
        return None if attempt is None else Lease(self, attempt, tokens, bulk, now)

    async def admit(self, ticket: int, tokens: int, *, bulk: bool, until: float | None = None) -> Lease:
        """Wait until one attempt of about ``tokens`` tokens may start.

        Bulk waits out an open breaker and a long pause; an interactive call raises CircuitOpenError, or the
        error in which the server asked for the pause. Raises TimeoutError when ``until`` cannot be kept.
        """
        rates = self._rates
        self._raise_if_down(bulk=bulk)
        if rates is None:
            attempt = await self.slots.take(ticket, bulk=bulk)
        else:
            await rates.wait(tokens, until)
            try:
                self._raise_if_down(bulk=bulk)
                attempt = await self.slots.take(ticket, bulk=bulk)
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
            if self.origin is not None and not self._gate.ever_reached and not self.origin.admits(now):
                raise self._circuit_open(self.origin)
            return
        for breaker in self.turnstile.breakers:
            if not breaker.admits(now):
                raise self._circuit_open(breaker)
        pause = self.turnstile.paused_until - now
        if pause > LONGEST_INTERACTIVE_PAUSE and self._pause_reason is not None:
            reason = copy.copy(self._pause_reason)
            reason.retry_after, reason.attempts = pause, 0
            raise reason

    def _circuit_open(self, breaker: Breaker) -> CircuitOpenError:
        wait = breaker.retry_after(self.loop.time())
        origin_down = breaker is self.origin
        scope = self._gate.origin if origin_down else self.model
        return CircuitOpenError(
            f"{scope} has failed again and again and is left alone for {wait:.0f} s more (the circuit breaker is "
            f"open); nothing was sent",
            retry_after=wait,
            scope=scope,
            origin_down=origin_down,
        )

    @property
    def finds_limit(self) -> bool:
        """Whether the window reacts to refusals, so that refused calls may come back at once."""
        return not isinstance(self.window, FixedWindow)

    def silence(self, since: float) -> float:
        """Seconds in which nobody was answered, counted from ``since`` at the earliest."""
        return self.loop.time() - max(since, self._answered_at)

    # What endings of attempts mean.

    def succeeded(self, began: float, now: float) -> None:
        """The attempt gave an answer."""
        self._answered_at = now
        self.credit.earn()
        self.reached(began, now)
        if self.breaker is not None and self.breaker.succeeded(began, now):
            self._closed()
        if self._credit_waiters:
            self._release_credit_waiters()

    def proven(self, began: float, now: float) -> None:
        """The first content arrived: all that a probe has to show."""
        self._answered_at = now
        if self.breaker is not None and not self.breaker.closed and self.breaker.succeeded(began, now):
            self._closed()

    def reached(self, began: float, now: float) -> None:
        """The origin answered, whatever it said."""
        self._gate.ever_reached = True
        if self.origin is not None and self.origin.succeeded(began, now):
            self._gate.origin_closed()

    def failed(self, attempt: Any, began: float, now: float, blame: Blame, *, bulk: bool) -> None:
        """The attempt failed."""
        taken = self.window.taken(now)
        alone = not (bulk or self.window.in_flight or self.slots.waiting or self.backing_off)
        if blame is Blame.ORIGIN:
            if self.breaker is not None:
                self.breaker.ended(attempt)
            if self.origin is not None and self.origin.failed(attempt, began, now, taken, alone=alone):
                self._gate.origin_opened()
        elif blame is Blame.SERVICE:
            self.reached(began, now)
            if self.breaker is not None and self.breaker.failed(attempt, began, now, taken, alone=alone):
                self._opened()
        else:
            self.neutral(attempt)

    def neutral(self, attempt: Any) -> None:
        """The attempt ended without saying anything about the other side."""
        for breaker in self.turnstile.breakers:
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

    # What moves the whole scope.

    def pause(self, seconds: float, reason: APIError) -> None:
        """Start nothing for ``seconds``, because the server asked for it in ``reason``."""
        # Without its frames: they hold a call with its prompt, and this one outlives it.
        self._pause_reason = without_frames(copy.copy(reason))
        self.turnstile.pause(self.loop.time() + seconds)

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
        self.turnstile.out_of_descriptors(self.loop.time())
        _log.warning("this process may open no more files (ulimit -n); fewer requests of %s run for now", self.model)

    def refuse(self, breaker: Breaker, *, bulk: bool = False) -> None:
        """Calls with somebody waiting for them fail at once while ``breaker`` is open; with ``bulk`` all do."""
        self.slots.dismiss(lambda: self._circuit_open(breaker), bulk=bulk)

    def reset(self) -> None:
        """Close the breaker, end a pause, and fill the retry credit."""
        if self.breaker is not None:
            self.breaker.reset()
        self.turnstile.paused_until = -float("inf")
        self._release_credit_waiters()
        self.slots.serve(self.loop.time())

    def _opened(self) -> None:
        breaker = self.breaker
        assert breaker is not None  # noqa: S101  it has just opened
        _log.warning("breaker of %s opened; next request in %.0f s", self.model, breaker.retry_after(self.loop.time()))
        self.refuse(breaker)

    def _closed(self) -> None:
        _log.warning("breaker of %s closed: a request was answered", self.model)
        self.window.restart(self.loop.time())
        self._release_credit_waiters()
        self.slots.serve(self.loop.time())

    # Retry credit.

    async def has_credit(self, until: float | None) -> bool:
        """Wait until a retry may be made, for bulk, which has the time. False if it may not be ``until`` then."""
        try:
            async with asyncio.timeout_at(until):
                await self.wait_for_credit()
        except TimeoutError:
            return False
        return True

    async def wait_for_credit(self) -> None:
        """Wait until a retry may be made."""
        if not self._credit_waiters and self._spend_credit():
            return
        turn: asyncio.Future[None] = self.loop.create_future()
        self._credit_waiters.append(turn)
        if self._credit_timer is None:
            self._credit_timer = self.loop.call_later(_LONE_RETRY, self._on_credit_timer)
        try:
            await turn
        finally:
            if not turn.done() or turn.cancelled():
                if turn in self._credit_waiters:
                    self._credit_waiters.remove(turn)
                self._stop_idle_credit_timer()

    def may_retry(self, now: float) -> bool:
        """Whether a retry may be made; takes it from the credit."""
        if self.credit.spend():
            return True
        self.credit.earn(self.window.taken(now))
        return self.credit.spend()

    def _spend_credit(self) -> bool:
        now = self.loop.time()
        if self.may_retry(now):
            return True
        alone = not self.window.in_flight and not self.slots.waiting
        if alone and now - self._last_lone_retry >= _LONE_RETRY:
            self._last_lone_retry = now
            return True
        return False

    def _serve_credit(self) -> None:
        waiters = self._credit_waiters
        while waiters:
            if waiters[0].done():
                waiters.popleft()
            elif self._spend_credit():
                waiters.popleft().set_result(None)
            else:
                break
        self._stop_idle_credit_timer()

    def _release_credit_waiters(self) -> None:
        self.credit.earn()
        while self._credit_waiters:
            turn = self._credit_waiters.popleft()
            if not turn.done():
                turn.set_result(None)
        self._stop_idle_credit_timer()

    def _on_credit_timer(self) -> None:
        self._credit_timer = None
        self._serve_credit()
        if self._credit_waiters:
            self._credit_timer = self.loop.call_later(_LONE_RETRY, self._on_credit_timer)

    def _stop_idle_credit_timer(self) -> None:
        if self._credit_timer is not None and not self._credit_waiters:
            self._credit_timer.cancel()
            self._credit_timer = None

    def leave_group(self) -> None:
        """The last call of it has been made."""
        if self.membership is not None:
            self.membership.close()
            self.membership = None

    # What an operator sees.

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs or waits."""
        return not (self.window.in_flight or self.slots.waiting or self._credit_waiters)

    def statistics(self) -> ScopeStatistics:
        """The state now."""
        now = self.loop.time()
        return ScopeStatistics(
            model=self.model,
            window=self.window.statistics(now),
            shared=None if self.membership is None else self.membership.where,
            queued_bulk=self.slots.waiting_bulk,
            queued_interactive=self.slots.waiting_interactive,
            waiting_for_credit=len(self._credit_waiters),
            paused_for=max(0.0, self.turnstile.paused_until - now),
            breaker=self.breaker.state.value if self.breaker is not None else None,
            breaker_opened=self.breaker.opened if self.breaker is not None else 0,
            retry_credit=self.credit.balance,
        )

    def dismiss(self, error: APIError) -> None:
        """Whoever waits, for a turn or for retry credit, gets a copy of ``error``."""
        self.slots.dismiss(lambda: copy.copy(error), bulk=True)
        while self._credit_waiters:
            turn = self._credit_waiters.popleft()
            if not turn.done():
                turn.set_exception(copy.copy(error))
        self._stop_idle_credit_timer()
