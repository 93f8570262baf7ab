"""Entry point of all calls: attempts at one server, wrapped in the client's budget and middleware."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from deepseek_async.admission import AccountLimiter
from deepseek_async.call.exchange import Exchange
from deepseek_async.call.fallback import Alternatives
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.request import Request
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.target import Target
from deepseek_async.call.tenant import current_tenant
from deepseek_async.codec.size_limits import DEFAULT_LIMITS, Limits
from deepseek_async.errors import APIError
from deepseek_async.transport.protocol import Transport
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import Answer

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.call.middleware import CallMiddleware
    from deepseek_async.call.stream import AnswerStream

T = TypeVar("T", bound=Answer)
StreamT = TypeVar("StreamT", bound="AnswerStream[Any, Any]")


class Protections(msgspec.Struct, frozen=True):
    """Budget and middleware of a client, applied to every call at every server."""

    budget: Budget | None
    """Budget from which each attempt reserves its maximum cost."""
    middleware: CallMiddleware | None
    """Cache, content filter and listeners."""


class Call(Attempts, gc=False, eq=False, kw_only=True):
    """One logical call, wrapped in its client's middleware."""

    middleware: CallMiddleware | None = None

    __repr__ = object.__repr__

    def answer(
        self,
        decode: Callable[[bytes], T],
        fault_of: Callable[[T, Mapping[str, str]], APIError | None] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Return the decoded body.

        ``fault_of`` may return an error for a decoded body that is not a valid answer; the call is retried if that
        error is retryable.
        """
        around = self.middleware
        if around is None:
            return self.whole(decode, fault_of)
        return around.answer(self, decode, lambda: self.whole(decode, fault_of))

    async def stream(self, kind: Callable[[Attempts, Exchange], StreamT]) -> StreamT:
        """Return the answer as a stream of this ``kind`` once the server has accepted the request."""
        around = self.middleware
        if around is None:
            return kind(self, await self.exchange())
        return await around.stream(self, kind, self.exchange)


class Caller(Target):
    """Creates calls over one transport and one account's limits; all requests of a client pass through it."""

    def __init__(
        self,
        transport: Transport,
        account_limiter: AccountLimiter,
        protections: Protections,
        *,
        base_url: str,
        account: str,
        limits: Limits = DEFAULT_LIMITS,
        beta: bool = True,
    ) -> None:
        super().__init__(
            transport,
            account_limiter,
            protections.budget,
            base_url=base_url,
            account=account,
            limits=limits,
            beta=beta,
        )
        self.middleware = protections.middleware

    def call(
        self,
        request: Request,
        *,
        retry: RetryPolicy,
        timeouts: Timeouts,
        tokens: int = 0,
        streaming: bool = False,
        model: str = "",
        bulk: bool = False,
        alternatives: Alternatives | None = None,
    ) -> Call:
        """Create a call without sending it.

        ``tokens`` is the estimate for the tokens-per-minute limit; calls of one ``model`` share a concurrency limit. A
        ``bulk`` call is not interactive: it waits where another call fails fast, and the caller starts it with
        ``begin()``, because rows are prepared ahead of their turn.
        """
        limiter, tenant = self.account_limiter.limiter(model), current_tenant()
        call = Call(
            target=self,
            limiter=limiter,
            request=request,
            retry=retry,
            timeouts=timeouts,
            tokens=tokens,
            streaming=streaming,
            bulk=bulk or (tenant is not None and tenant.bulk),
            budget=self.budget if tenant is None else tenant.with_budget(self.budget),
            alternatives=alternatives,
        )
        middleware = self.middleware
        if middleware is not None:
            call.middleware, call.on_retry, call.before_sending = middleware, middleware.retried, middleware.look_over
        if not bulk:
            call.begin()
        return call
