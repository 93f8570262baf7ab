"""Lifecycle of one call: attempts within one deadline, and after a fault a back-off, another attempt or a fallback."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from deepseek_async.call.admitted_call import AdmittedCall
from deepseek_async.call.classification import AttemptEnding, end, may_be_charged, rule_of
from deepseek_async.call.exchange import Exchange, read_refusal
from deepseek_async.call.fallback import Alternatives
from deepseek_async.call.retry import LONGEST_BULK_WAIT, Pause, RetryPolicy
from deepseek_async.call.stream_usage import StreamUsage
from deepseek_async.call.usage_check import metered
from deepseek_async.errors import APIError, APIStatusError, ConfigurationError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.transport.protocol import HTTPResponse
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import Answer, CompletionUsage
from deepseek_async.types.request_id import trace_id

T = TypeVar("T", bound=Answer)

_SLACK = 1.0
"""Seconds that must remain after a back-off; with less, the next attempt could not finish before the deadline."""


class Attempts(AdmittedCall, gc=False, eq=False, kw_only=True):
    """One logical call: up to the retry policy's attempts within one deadline."""

    retry: RetryPolicy
    alternatives: Alternatives | None
    streaming: bool
    """Whether the answer is streamed."""
    _stale: bool = False  # whether the last attempt got a dead pooled connection
    stream_id: str | None = None  # that of the last response of a stream
    response: HTTPResponse | None = None
    """The accepted response, once there is one: status and headers."""
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

    __repr__ = object.__repr__  # the struct's default repr would print what the server sent

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response, once there is one."""
        return self.stream_id or (trace_id(self.response.headers) if self.response is not None else None)

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
                headers = answer._head = exchange.response.headers  # noqa: SLF001
                failure = None if fault_of is None else fault_of(answer, headers)
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
        if self.fallback is not None or not self.limiter.retries.spend(self.target.loop.time()):
            return None
        self.alternatives = self.observe = self._most = None
        self.say(path, request)
        if self.before_sending is not None:
            await self.before_sending(self)
        return await self.exchange()

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
            plan = self.alternatives
            elsewhere = None if plan is None else plan.after(failure, self.target, self.limiter.model)
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
        if pause.paid and self.bulk and not await self.limiter.retries.wait_until(self._until):
            failure.retry_budget_exhausted = True
            raise self.given_up(failure)
        if pause.everybody:
            # The whole queue pauses, and this call keeps its place in it.
            self.limiter.pause(pause.seconds, failure)
        elif pause.seconds > 0:
            await self.limiter.back_off(pause.seconds)
            if self._until is not None and self.target.loop.time() > self._until:  # the loop was blocked
                raise self.given_up(failure)

    def _pause_after(self, failure: APIError) -> Pause | None:
        """Return the back-off before another attempt at this target, or None. Raises ``failure`` past the deadline."""
        limiter, now = self.limiter, self.target.loop.time()
        pause = self.retry.pause(
            failure,
            self.attempts - self._earlier,
            random.random(),  # noqa: S311  jitter needs no secure randomness
            returns=self._returns,
            bulk=self.bulk,
            queue=limiter.finds_limit,
            silence=limiter.silence(self._began),
            failing=limiter.window.failing,
        )
        if pause is None:
            return None
        if self._until is not None and pause.seconds and now + pause.seconds + _SLACK > self._until:
            raise self.given_up(failure)
        if pause.paid and not self.bulk and not limiter.retries.spend(now):
            failure.retry_budget_exhausted = True
            return None
        return pause

    def _hold_others(self, failure: APIError) -> None:
        """Pause all calls to the model for a ``Retry-After`` that is too long for this call."""
        asked = failure.retry_after if isinstance(failure, APIStatusError) and failure.retryable else None
        if asked is not None and self.retry.holds_others():
            self.limiter.pause(min(asked, LONGEST_BULK_WAIT), failure)

    async def _attempt(self) -> Exchange:
        target = self.target
        if (halt := target.halt) is not None:
            halt.check(self._began, target.loop.time())
        if not target.beta:
            self.request = self.request.without_beta()
        lease = await self._lease()
        watchdog = Watchdog(self.timeouts, target.loop, self._until)
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
            # A transport refuses with a ConfigurationError what it has not sent.
            lease.abandoned(sent=self.request.handed_over and not isinstance(error, ConfigurationError))
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
