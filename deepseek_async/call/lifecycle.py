"""The life of one call: admitted, sent, answered; on a fault a pause, then admitted afresh."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from deepseek_async.admission import Gate, Lease
from deepseek_async.call.exchange import Exchange
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.refusal import refusal
from deepseek_async.errors import APIError, APIStatusError, APITimeoutError, ReasoningBudgetExhaustedError
from deepseek_async.transport.protocol import Outgoing, Response, Transport
from deepseek_async.transport.watchdog import Timeouts, Watchdog
from deepseek_async.types import Answer

T = TypeVar("T", bound=Answer)

_REFUSAL_BYTES = 64 * 1024


class Caller:
    """Makes calls over one transport and through one gate, on one event loop."""

    def __init__(self, transport: Transport, gate: Gate) -> None:
        self.transport = transport
        self.gate = gate
        self.loop = asyncio.get_running_loop()

    def call(
        self,
        outgoing: Outgoing,
        *,
        retry: RetryPolicy,
        timeouts: Timeouts,
        tokens: int = 0,
        streaming: bool = False,
    ) -> Call:
        """A call that has not begun. ``tokens`` is the estimate for the tokens-a-minute limit."""
        return Call(self, outgoing, retry, timeouts, tokens, streaming)


class Call(msgspec.Struct, gc=False, eq=False):
    """One logical call: as many attempts as the retry policy allows, within one deadline."""

    _caller: Caller
    _outgoing: Outgoing
    _retry: RetryPolicy
    _timeouts: Timeouts
    _tokens: int
    _streaming: bool
    _until: float | None = None
    attempts: int = 0
    """Requests sent so far."""
    request_id: str | None = None
    """``x-ds-trace-id`` of the answer, once there is one."""
    sent_at: float | None = None
    """When the last request was sent, in seconds since 1970: its price is that of its own hour."""

    def __post_init__(self) -> None:
        if self._timeouts.total is not None:
            self._until = self._caller.loop.time() + self._timeouts.total

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    async def answer(
        self,
        decode: Callable[[bytes], T],
        fault_of: Callable[[T, Mapping[str, str]], APIError | None] | None = None,
    ) -> T:
        """The decoded body. ``fault_of`` may say why a decoded body is no answer; that is retried if it may be."""
        while True:
            exchange = None
            try:
                exchange = await self._attempt()
                answer = decode(await exchange.read())
                failure = None if fault_of is None else fault_of(answer, exchange.response.headers)
            except APIError as error:
                failure = error
            except BaseException:
                if exchange is not None:
                    exchange.abandoned()
                raise
            if exchange is not None:
                self.request_id = exchange.request_id
                if failure is None:
                    exchange.served(answer.tokens_used())
                    return answer
                if isinstance(failure, ReasoningBudgetExhaustedError):
                    # The service did what it was asked for.
                    exchange.served(failure.partial.usage if failure.partial else None)
                exchange.faulted()
            assert failure is not None  # noqa: S101  without an exchange there is one
            failure.request_id = failure.request_id or self.request_id
            await self.back_off(failure)

    async def exchange(self) -> Exchange:
        """An attempt that the server accepted. Failed attempts before it are retried."""
        while True:
            try:
                return await self._attempt()
            except APIError as error:
                failure = error
            await self.back_off(failure)

    async def back_off(self, failure: APIError) -> None:
        """Wait before the next attempt, or raise ``failure`` if there is to be none."""
        delay = self._retry.delay(failure, self.attempts, random.random())  # noqa: S311  jitter is no secret
        loop = self._caller.loop
        if delay is None or (self._until is not None and loop.time() + delay >= self._until):
            failure.attempts = self.attempts
            raise failure
        await asyncio.sleep(delay)

    async def _attempt(self) -> Exchange:
        caller = self._caller
        lease = await (caller.gate.admit(self._tokens) if self._until is None else self._admit_in_time())
        watchdog = Watchdog(self._timeouts, caller.loop, self._until)
        self.attempts += 1
        self.sent_at = time.time()
        try:
            response = await caller.transport.send(self._outgoing, watchdog)
            if response.status < 300:
                watchdog.head_arrived(streaming=self._streaming)
                return Exchange(lease, response, watchdog)
            refused = await _read_refusal(response)
        except APIError:
            watchdog.stop()
            lease.faulted()
            raise
        except BaseException:
            watchdog.stop()
            lease.abandoned(sent=True)
            raise
        watchdog.stop()
        if response.status >= 500:
            lease.faulted()
        else:
            lease.refused()
        raise refused

    async def _admit_in_time(self) -> Lease:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._caller.gate.admit(self._tokens)
        except TimeoutError:
            failure = APITimeoutError(
                "the call's deadline passed while it waited for a free slot or for the rate limit (timeout.total)",
                phase="total",
                retryable=False,
                attempts=self.attempts,
            )
        raise failure


async def _read_refusal(response: Response) -> APIStatusError:
    """The error of a response with an error status. A body that breaks off does not hide the status."""
    wire = b""
    try:
        wire = await response.read(_REFUSAL_BYTES)
    except APIError:
        response.close()
    except BaseException:
        response.close()
        raise
    else:
        response.release()
    return refusal(response.status, response.headers, wire, now=time.time())
