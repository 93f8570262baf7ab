"""Creation of concurrency limits: initial size, cap, and storage of learned limits for the next run."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import ConcurrencyLimit, FixedLimit
from deepseek_async.admission.model_limiter import ModelLimiter
from deepseek_async.admission.remembered_limits import RememberedLimits
from deepseek_async.admission.sharing.membership import Membership
from deepseek_async.admission.sharing.rendezvous import Rendezvous
from deepseek_async.admission.sharing.shared_limit import SharedLimit

_log = logging.getLogger("deepseek_async")

NOMINAL: Final = {"deepseek-flash": 2500, "deepseek-v4-pro": 500}
"""Published concurrency limits (DeepSeek docs, Rate Limit); the actual limit is often far lower."""

UNKNOWN: Final = 500
"""Cap for models that are not in the table."""

_OTHER_ENDPOINTS: Final = 100
"""Concurrent requests to endpoints without a model, such as the balance."""

_FEW: Final = 100
"""Number of connections below which a limit on open files is worth a warning."""


def _unknown() -> None:
    return None


class LimitFactory:
    """Creates the concurrency limits of one account. ``most`` is the process's maximum number of connections."""

    def __init__(
        self,
        chosen: int | Literal["auto"],
        *,
        most: int,
        memory: RememberedLimits | None = None,
        meeting: Rendezvous | None = None,
        distance: Callable[[], float | None] = _unknown,
        fixed: bool = False,
    ) -> None:
        """``meeting`` is the rendezvous with other processes of the account; None disables sharing.

        ``distance`` returns the network round-trip time in seconds, once measured. ``fixed`` limits do not react to
        what the server says.
        """
        self._distance = distance
        self._meeting = meeting
        self._chosen = chosen
        self._fixed = fixed
        self._most = most
        self._memory = memory
        self._loop = asyncio.get_running_loop()
        self._warned = False

    def __call__(self, model: str) -> ConcurrencyLimit:
        """Return a concurrency limit for ``model``; the empty name is for endpoints without a model."""
        if not model:
            return FixedLimit(min(_OTHER_ENDPOINTS, self._most))
        chosen = self._chosen
        cap = min(self._most, NOMINAL.get(model, UNKNOWN) if chosen == "auto" else chosen)
        if self._fixed:
            return FixedLimit(cap)
        start = hint = None
        if chosen != "auto":
            start = cap
        else:
            hint = self.remembered(model)
        short = self._most < (_FEW if chosen == "auto" else chosen)
        if short and not self._warned:
            self._warned = True
            _log.warning(
                "limit on open files allows only %d concurrent requests in this process; raise it (ulimit -n)",
                cap,
            )
        now, chance = self._loop.time(), random.random
        if self._meeting is None:
            return AdaptiveLimit(cap=cap, chance=chance, now=now, start=start, hint=hint, distance=self._distance)
        account = max(cap, NOMINAL.get(model, UNKNOWN))
        return SharedLimit(
            cap=account, most=cap, chance=chance, now=now, start=start, hint=hint, distance=self._distance
        )

    def remembered(self, model: str) -> int | None:
        """Return the account's limit for ``model`` from an earlier run, unless it is too old."""
        return None if self._memory is None else self._memory.recall(model, time.time())

    def join(self, limiter: ModelLimiter) -> None:
        """Let a new ``limiter`` share its concurrency limit with other processes, if supported."""
        if self._meeting is not None and isinstance(limiter.window, SharedLimit):
            limiter.membership = Membership(self._meeting, limiter.model, limiter.window, limiter.queue)

    async def aclose(self, limiters: Sequence[ModelLimiter]) -> None:
        """Store the account's learned limits for the next run and leave the groups."""
        now = self._loop.time()
        found = {limiter.model: _ceiling_of(limiter.window, now) for limiter in limiters}
        if self._memory is not None:
            self._memory.store({model: ceiling for model, ceiling in found.items() if ceiling}, time.time())
        for limiter in limiters:
            limiter.leave_group()
        if self._meeting is not None:
            await self._meeting.aclose()


def _ceiling_of(window: ConcurrencyLimit, now: float) -> int | None:
    if isinstance(window, SharedLimit):
        return window.ceiling_of_account(now)
    return window.statistics(now).account_ceiling
