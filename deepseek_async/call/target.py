"""One server as calls are made to it: transport, limits, budget, and what its answers say about all calls."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission import AccountLimiter
from deepseek_async.call.halt import FIRST_REST, Halt
from deepseek_async.call.stream_usage import StreamUsage
from deepseek_async.codec.limits import DEFAULT_LIMITS, Limits
from deepseek_async.codec.request import BETA
from deepseek_async.errors import (
    APIError,
    AuthenticationError,
    InsufficientBalanceError,
    QuotaExceededError,
)
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.renamed import attribute
from deepseek_async.transport.hosts import is_deepseeks
from deepseek_async.transport.protocol import Transport

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget

_REMEMBERED: Final = 4_096

_RENAMED: Final = {"gate": "account_limiter", "surroundings": "middleware"}

_NOT_THERE: Final = frozenset({404, 405})


class Target:
    """Where attempts go: one account at one server, on one event loop."""

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
        """What tells its answers from those of another service behind the same gateway."""
        self.account = account
        """Whose calls they are, for a cache that several accounts share."""
        self.loop = asyncio.get_running_loop()
        self.budget = budget
        """Money that every attempt is held against."""
        self.halt: Halt | None = None
        self.stream_usage = StreamUsage.of(self.origin)
        self.beta = beta
        """Whether the server has DeepSeek's beta base."""
        self.handed_out: deque[str] = deque(maxlen=_REMEMBERED)
        """Ids of files that uploads have given, so that none is taken for what another one has left behind."""

    def note(self, failure: APIError) -> None:
        """Remember what an answer to one call says about all others.

        A 403, and a 401 that is not DeepSeek's own, concern the call that met them: a firewall that dislikes a prompt,
        an endpoint that the key may not use, a proxy that lost its way to who knows the keys.
        """
        if isinstance(failure, AuthenticationError):
            if failure.key_refused:
                self._refuse_key(failure)
        elif isinstance(failure, InsufficientBalanceError | QuotaExceededError) and not self.is_refused:
            error = without_frames(copy.copy(failure))
            self.halt = Halt(error, self.loop.time())
            self.account_limiter.dismiss(error)

    def forgoes_beta(self, path: str, failure: APIError) -> bool:
        """Whether ``failure`` shows that a stand-in for DeepSeek has no beta base, so that it is asked without one."""
        if not self.beta or failure.status_code not in _NOT_THERE or not path.startswith(BETA):
            return False
        self.beta = is_deepseeks(self.base_url)
        return not self.beta

    @property
    def is_refused(self) -> bool:
        """Whether the key was refused, and no call has found out yet that it is taken again."""
        return self.halt is not None and self.halt.rest is not None

    def accepted(self, halt: Halt) -> None:
        """A call that was sent in spite of ``halt`` was taken on."""
        if self.halt is halt and halt.rest is not None:
            self.halt = None

    def _refuse_key(self, failure: AuthenticationError) -> None:
        error, now, before = without_frames(copy.copy(failure)), self.loop.time(), self.halt
        self.halt = Halt(error, now, FIRST_REST) if before is None else before.after(error, now)
        if self.account_limiter.users < 2:  # another client of the account may have another key
            self.account_limiter.dismiss(error)

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)
