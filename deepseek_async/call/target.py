"""One server as a target of calls: transport, limits, budget, and account-wide state learned from responses."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission import AccountLimiter
from deepseek_async.call.account_halt import FIRST_REST, AccountHalt
from deepseek_async.call.stream_usage import StreamUsage
from deepseek_async.codec.request import BETA
from deepseek_async.codec.size_limits import DEFAULT_LIMITS, Limits
from deepseek_async.deprecated_names import attribute
from deepseek_async.errors import (
    APIError,
    AuthenticationError,
    InsufficientBalanceError,
    QuotaExceededError,
)
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.transport.hosts import is_deepseeks
from deepseek_async.transport.protocol import Transport

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget

_REMEMBERED: Final = 4_096

_RENAMED: Final = {"gate": "account_limiter", "surroundings": "middleware"}

_NOT_THERE: Final = frozenset({404, 405})


class Target:
    """One account at one server, on one event loop."""

    def __init__(
        self,
        transport: Transport,
        account_limiter: AccountLimiter,
        budget: Budget | None,
        *,
        base_url: str,
        account: str,
        limits: Limits = DEFAULT_LIMITS,
        beta: bool = True,
    ) -> None:
        self.transport = transport
        self.account_limiter = account_limiter
        self.limits = limits
        self.origin = account_limiter.origin.address
        """Scheme, host and port of the server."""
        self.base_url = base_url
        """Tells this service apart from others behind the same gateway."""
        self.account = account
        """Account id, part of the cache key where several accounts share a cache."""
        self.loop = asyncio.get_running_loop()
        self.budget = budget
        """Budget from which each attempt reserves its maximum cost."""
        self.halt: AccountHalt | None = None
        self.stream_usage = StreamUsage.of(self.origin)
        self.beta = beta
        """Whether the server has DeepSeek's beta base."""
        self.handed_out: deque[str] = deque(maxlen=_REMEMBERED)
        """Ids of recent uploads, so that none is mistaken for one left behind by another upload."""

    def note(self, failure: APIError) -> None:
        """Record the account-wide consequences of a failed call.

        A 403, and a 401 that is not DeepSeek's own, concern only the call itself: a firewall that blocks a prompt, an
        endpoint the key may not use, a proxy that cannot reach its authentication server.
        """
        if isinstance(failure, AuthenticationError):
            if failure.key_refused:
                self._refuse_key(failure)
        elif isinstance(failure, InsufficientBalanceError | QuotaExceededError) and not self.is_refused:
            error = without_frames(copy.copy(failure))
            self.halt = AccountHalt(error, self.loop.time())
            self.account_limiter.dismiss(error)

    def forgoes_beta(self, path: str, failure: APIError) -> bool:
        """Whether ``failure`` shows that a DeepSeek-compatible server has no beta base; then none is used."""
        if not self.beta or failure.status_code not in _NOT_THERE or not path.startswith(BETA):
            return False
        self.beta = is_deepseeks(self.base_url)
        return not self.beta

    @property
    def is_refused(self) -> bool:
        """Whether the key was rejected and no probe has succeeded since."""
        return self.halt is not None and self.halt.rest is not None

    def accepted(self, halt: AccountHalt) -> None:
        """Lift ``halt`` after the server accepted a call sent in spite of it."""
        if self.halt is halt and halt.rest is not None:
            self.halt = None

    def _refuse_key(self, failure: AuthenticationError) -> None:
        error, now, before = without_frames(copy.copy(failure)), self.loop.time(), self.halt
        self.halt = AccountHalt(error, now, FIRST_REST) if before is None else before.after(error, now)
        if self.account_limiter.users < 2:  # another client of the account may have another key
            self.account_limiter.dismiss(error)

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)
