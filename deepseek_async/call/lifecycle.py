"""Lifecycle of one call: admission, request, response; after a fault a back-off and another attempt or a fallback."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from deepseek_async.admission import Lease, ModelLimiter
from deepseek_async.call.bill import Bill
from deepseek_async.call.budget_hold import deadline_passed, hold, may_have_used, most_of
from deepseek_async.call.classification import AttemptEnding, end, may_be_charged, rule_of
from deepseek_async.call.exchange import Exchange, read_refusal
from deepseek_async.call.fallback import Alternatives
from deepseek_async.call.request import Request
from deepseek_async.call.retry import LONGEST_BULK_WAIT, Pause, RetryPolicy, is_everybodys
from deepseek_async.call.stream_usage import StreamUsage
from deepseek_async.call.target import Target
from deepseek_async.call.usage_check import metered
from deepseek_async.codec.refusal import trace_id
from deepseek_async.errors import APIError, APIStatusError, RateLimitError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.transport.protocol import HTTPResponse
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import Answer, CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget, Charge

T = TypeVar("T", bound=Answer)

_SLACK = 1.0
"""Seconds that must remain after a back-off; with less, the next attempt could not finish before the deadline."""


class Attempts(msgspec.Struct, gc=False, eq=False):
    """One logical call: up to the retry policy's attempts within one deadline."""

    target: Target
    """Server of the next attempt."""
    _limiter: ModelLimiter
    request: Request
    _retry: RetryPolicy
    _timeouts: Timeouts
    _tokens: int
    streaming: bool
    """Whether the answer is streamed."""
    _bulk: bool
    _alternatives: Alternatives | None
    _most: CompletionUsage | None = None
    _charges: list[Charge] | None = None
    """Budget charges, one per attempt; None without a budget."""
    queued: float = 0.0
    """Seconds spent waiting for admission so far."""
    _began: float = 0.0
    _until: float | None = None
    _ticket: int = 0
    _earlier: int = 0
    """Attempts made at earlier targets."""
    _returns: int = 0  # free attempts at this target
    _waiting: bool = False
    _refused: APIError | None = None
    """Last refusal that put the call back into the queue."""
    _stale: bool = False  # whether the last attempt got a dead pooled connection
    attempts: int = 0
    """Requests sent so far."""
    stream_id: str | None = None  # that of the last response of a stream
    response: HTTPResponse | None = None
    """The accepted response, once there is one: status and headers."""
    sent_at: float | None = None
    """Unix time at which the last request was sent; it decides the price."""
    fallback: str | None = None
    """Model or endpoint that answers instead of the requested one; None without a fallback."""
    bill: Bill | None = None
    """Billed usage, once an attempt that was billed has failed."""
    may_go_on: Callable[[Attempts, APIError], bool] | None = None
    """Called before each further attempt; False stops the call. For external budgets and non-idempotent operations."""
    cut_short: bool = False
    """Whether ``may_go_on`` stopped the call before its last attempt."""
    on_retry: Callable[[Attempts, APIError, float], None] | None = None
    """Called with each failure that is retried, and the seconds until the retry."""
    before_sending: Callable[[Attempts], Awaitable[None]] | None = None
    """Called before a request other than the caller's is sent; may change it, or raise."""
    observe: Callable[[CompletionUsage], None] | None = None
    """Called with the usage of a complete answer."""

    def begin(self) -> None:
        """Start the deadline and take a place in the queue."""
        if self._bulk:
            # The call may have been prepared long ago: idle limiters are dropped when there are many models.
            self._limiter = self.target.account_limiter.limiter(self._limiter.model)
        self._began = self.target.loop.time()
        self._ticket = next(self._limiter.tickets)
        if self._timeouts.total is not None:
            self._until = self._began + self._timeouts.total

    __repr__ = object.__repr__  # the struct's default repr would print what the server sent

    @property
    def waits(self) -> bool:
        """Whether nothing is in flight and nothing was billed."""
        return self._waiting and self.bill is None

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response, once there is one."""
        return self.stream_id or (trace_id(self.response.headers) if self.response is not None else None)

    @property
    def model(self) -> str:
        """The model of the next attempt."""
        return self._limiter.model

    @property
    def charged(self) -> float | None:
        """US dollars charged to the budget for all attempts; None without a budget or before the first attempt."""
        return sum([charge.dollars for charge in self._charges]) if self._charges else None

    def say(self, path: str, texts: Mapping[str, Any]) -> None:
        """Send ``texts`` to ``path`` instead."""
        self.request = self.request.saying(path, texts, self.target.limits.request)

    async def whole(
        self,
        decode: Callable[[bytes], T],
        fault_of: Callable[[T, Mapping[str, str]], APIError | None] | None,
    ) -> T:
        """Return the answer of the service, bypassing the middleware."""
        while True:
            exchange = answer = None
            try:
                exchange = await self._attempt()
                answer = decode(await exchange.read(self.target.limits.body))
                failure = None if fault_of is None else fault_of(answer, exchange.response.headers)
            except APIError as error:
                # Frames of the body reader hold the raw body, which may echo the key.
                failure = error if exchange is None else without_frames(error)
            except BaseException as error:
                if exchange is not None:
                    exchange.abandoned()
                    self.lose(exchange.lease, error)
                raise
            if exchange is not None and failure is None and answer is not None:
                usage = self.counted(answer)
                exchange.served(usage, getattr(answer, "model", None))
                if self.observe is not None and usage is not None:
                    self.observe(usage)
                if self.bill is not None:
                    self.bill.leave_in(answer)
                answer.fallback = self.fallback
                answer._sent_at = self.sent_at or 0.0  # noqa: SLF001
                return answer
            assert failure is not None  # noqa: S101  set whenever there is no answer
            if exchange is not None:
                self.fault(exchange, failure, answer)
            await self._back_off(failure)

    async def again(self, failure: APIError) -> Exchange:
        """Return another exchange after a failed one. Raises ``failure`` if no attempt is left."""
        await self._back_off(failure)
        return await self.exchange()

    async def exchange(self) -> Exchange:
        """Return an accepted attempt of a stream, after retries of failed ones."""
        without: StreamUsage | None = None
        while True:
            server = self.target.stream_usage
            if server.wanted and server is not without:
                self.request = self.request.asking_usage()
            try:
                exchange = await self._attempt()
            except APIError as error:
                failure = error
            else:
                server.accepted(asked=self.request.asks_usage, without=server is without)
                return exchange
            if self.request.asks_usage and server.may_be_why(failure):
                self.request, without = self.request.not_asking_usage(), server
            else:
                await self._back_off(failure)

    async def go_on(self, path: str, request: Mapping[str, Any]) -> Exchange | None:
        """Send a follow-up ``request`` within the same deadline and return its response.

        None if it may not be sent: from a fallback, which need not support continuation, or without retry credit.
        """
        if self.fallback is not None or not self._limiter.retries.spend(self.target.loop.time()):
            return None
        self._alternatives = self.observe = self._most = None
        self.say(path, request)
        if self.before_sending is not None:
            await self.before_sending(self)
        return await self.exchange()

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

    def lose(self, lease: Lease, failure: BaseException | None) -> None:
        """Record, once per lease, the most that the server may have billed for an attempt without reported usage."""
        if lease.lost and self.request.operation.output != "nothing":
            lease.lost = False
            self.bill = self.bill or Bill()
            used = may_have_used(self._most or most_of(self.request), lease.produced)
            self.bill.note_lost(used, model=self.model, at=self.sent_at or 0.0, failure=failure)

    def fault(self, exchange: Exchange, failure: APIError, answer: Answer | None = None) -> None:
        """End ``exchange`` with ``failure``; a decoded but invalid ``answer`` may have been billed."""
        whole = rule_of(failure).ending is AttemptEnding.SERVED
        fee = self.request.operation.has_fee
        usage = None if answer is None or fee else metered(answer, self.request, estimate=whole)
        exchange.faulted(failure, usage, getattr(answer, "model", None), worked=fee)
        if usage is not None and answer is not None:
            self.billed(answer, usage, failure)
        self.lose(exchange.lease, failure)
        failure.request_id = failure.request_id or exchange.request_id
        self.target.note(failure)

    async def _back_off(self, failure: APIError) -> None:
        """Wait before the next attempt, or switch to a fallback, or raise ``failure`` if no attempt is left."""
        self._waiting = True
        pause = self._pause_after(failure)
        again = self.may_go_on is None or self.may_go_on(self, failure)
        elsewhere = None
        if pause is None:
            self._hold_others(failure)
            # Bulk calls wait for an open breaker instead.
            plan = self._alternatives
            elsewhere = None if plan is None else plan.after(failure, self.target, self._limiter.model)
            if again and elsewhere is not None:
                self._turn_to(elsewhere.target, elsewhere.model)
                self.fallback = elsewhere.name
                return
        if pause is None or not again:
            self.cut_short = not again and (pause is not None or elsewhere is not None)
            raise self.given_up(failure)
        if self.on_retry is not None:
            self.on_retry(self, failure, pause.seconds)
        if pause.free:
            self._returns += 1
            # Without the traceback, whose frames refer back to this call: the cycle would never be freed.
            self._refused = without_frames(copy.copy(failure))
        if pause.paid and self._bulk and not await self._limiter.retries.wait_until(self._until):
            failure.retry_budget_exhausted = True
            raise self.given_up(failure)
        if pause.everybody:
            # The whole queue pauses, and this call keeps its place in it.
            self._limiter.pause(pause.seconds, failure)
        elif pause.seconds > 0:
            await self._limiter.back_off(pause.seconds)
            if self._until is not None and self.target.loop.time() > self._until:  # the loop was blocked
                raise self.given_up(failure)

    def _pause_after(self, failure: APIError) -> Pause | None:
        """Return the back-off before another attempt at this target, or None. Raises ``failure`` past the deadline."""
        limiter, now = self._limiter, self.target.loop.time()
        pause = self._retry.pause(
            failure,
            self.attempts - self._earlier,
            random.random(),  # noqa: S311  jitter needs no secure randomness
            returns=self._returns,
            bulk=self._bulk,
            queue=limiter.finds_limit,
            silence=limiter.silence(self._began),
            failing=limiter.window.failing,
        )
        if pause is None:
            return None
        if self._until is not None and pause.seconds and now + pause.seconds + _SLACK > self._until:
            raise self.given_up(failure)
        if pause.paid and not self._bulk and not limiter.retries.spend(now):
            failure.retry_budget_exhausted = True
            return None
        return pause

    def _hold_others(self, failure: APIError) -> None:
        """Pause all calls to the model for a ``Retry-After`` that is too long for this call."""
        asked = failure.retry_after if isinstance(failure, APIStatusError) and failure.retryable else None
        if asked is not None and self._retry.holds_others():
            self._limiter.pause(min(asked, LONGEST_BULK_WAIT), failure)

    def given_up(self, failure: APIError) -> APIError:
        """Return ``failure`` with the attempts and billing of the call."""
        self._waiting = False
        failure.attempts = self.attempts
        if self._bulk and isinstance(failure, RateLimitError):
            failure.lasting = is_everybodys(failure, self._limiter.silence(self._began))
        if self.bill is not None:
            failure.billed_attempts = self.bill.attempts
            if failure.partial is not None:
                self.bill.leave_in(failure.partial)
        return failure

    def _turn_to(self, target: Target, model: str) -> None:
        elsewhere, self.target = target.origin != self.target.origin, target
        self._limiter = target.account_limiter.limiter(model)
        self._ticket = next(self._limiter.tickets)
        self.request = self.request.asking(model, self.target.limits.request, elsewhere=elsewhere)
        self._earlier, self._returns = self.attempts, 0

    async def _attempt(self) -> Exchange:
        target = self.target
        if (halt := target.halt) is not None:
            halt.check(self._began, target.loop.time())
        if not target.beta:
            self.request = self.request.without_beta()
        if target.budget is None or self.request.operation.output == "nothing":
            lease = self._limiter.admit_nowait(self._tokens, bulk=self._bulk) or await self._admit()
        else:
            # Budget before admission: a call that cannot be paid for must not wait in the queue.
            most = self._most = self._most or most_of(self.request)
            charge = target.budget.hold_nowait(most, self._limiter.model) or await self._hold(target.budget, most)
            try:
                lease = self._limiter.admit_nowait(self._tokens, bulk=self._bulk) or await self._admit()
            except BaseException:
                charge.abandoned(sent=False)
                raise
            lease.charge = charge
            self._charges = [*self._charges, charge] if self._charges else [charge]
        watchdog = Watchdog(self._timeouts, target.loop, self._until)
        self._waiting = False
        self.attempts += 1
        self.sent_at = time.time()
        try:
            response = await target.transport.send(self.request.outgoing, watchdog, fresh=self._stale)
            if response.status < 300:
                watchdog.head_arrived(streaming=self.streaming)
                lease.admitted()
                if halt is not None:
                    target.accepted(halt)
                self.response = response
                return Exchange(lease, response, watchdog)
            failure: APIError = await read_refusal(response, target.base_url, self.request.outgoing.path)
        except APIError as error:
            failure = error
        except BaseException as error:
            watchdog.stop()
            lease.abandoned(sent=self.request.handed_over)
            self.lose(lease, error)
            raise
        watchdog.stop()
        self._stale = getattr(failure, "reused", False)
        end(lease, failure, worked=may_be_charged(failure, self.request.operation), unread=not self.request.handed_over)
        self.lose(lease, failure)
        target.note(failure)
        if target.forgoes_beta(self.request.outgoing.path, failure):
            return await self._attempt()
        raise failure

    async def _hold(self, budget: Budget, most: CompletionUsage) -> Charge:
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
        limiter, until, self._waiting = self._limiter, self._until, True
        began = limiter.loop.time()
        try:
            async with asyncio.timeout_at(until):
                lease = await limiter.admit(self._ticket, self._tokens, bulk=self._bulk, until=until)
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
