"""Limits of one account at one origin, with one limiter per model, because the API limits each model separately."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from deepseek_async.admission.concurrency_limit import ConcurrencyLimit, FixedLimit
from deepseek_async.admission.model_limiter import ModelLimiter
from deepseek_async.admission.origin_health import OriginHealth
from deepseek_async.admission.outage.breaker import Breaker, BreakerPolicy
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.admission.tool_limits import DEFAULT_TOOL_LIMITS, FETCH_PATH, ToolLimits
from deepseek_async.deprecated_names import attribute
from deepseek_async.errors import APIError

_MOST_MODELS: Final = 256
"""Limiters kept; model names may come from end users, so idle limiters above this number are dropped."""


_SECONDS: Final = 60.0

_RENAMED: Final = {"scope": "limiter", "scopes": "limiters", "_scopes": "_limiters"}


class AccountLimiter:
    """Limits of one account at one origin, bound to the event loop that is running when it is created.

    ``windows`` creates the concurrency limit of a model on first use.
    """

    def __init__(
        self,
        windows: Callable[[str], ConcurrencyLimit],
        *,
        origin: str = "the service",
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        breaker: BreakerPolicy | None = None,
        chance: Callable[[], float] = random.random,
        tool_limits: ToolLimits = DEFAULT_TOOL_LIMITS,
        joins: Callable[[ModelLimiter], None] = lambda _: None,
    ) -> None:
        """``joins`` is called with every new limiter, which may share its concurrency limit with other processes."""
        self._joins = joins
        self.loop: Final = asyncio.get_running_loop()
        self.origin: Final = OriginHealth(origin, self.loop, Breaker(breaker, chance) if breaker is not None else None)
        self.origin.on_opened, self.origin.on_closed = self._origin_opened, self._origin_closed
        self.windows: Final = windows
        self._breaker = breaker
        self._chance = chance
        limited = requests_per_minute is not None or tokens_per_minute is not None
        self.rates: Final = RateLimits(requests_per_minute, tokens_per_minute) if limited else None
        self._tool_limits = tool_limits
        self._limiters: dict[str, ModelLimiter] = {}
        self.users = 0
        """Clients that share this limiter."""

    @property
    def counts_tokens(self) -> bool:
        """Whether ``admit`` needs an estimate of the request's tokens."""
        return self.rates is not None and self.rates.counts_tokens

    @property
    def limiters(self) -> tuple[ModelLimiter, ...]:
        """Limiters of the models called so far."""
        return tuple(self._limiters.values())

    @property
    def in_flight(self) -> int:
        """Attempts in flight."""
        return sum(limiter.window.in_flight for limiter in self._limiters.values())

    @property
    def waiting(self) -> int:
        """Attempts waiting for a slot."""
        return sum(limiter.queue.waiting for limiter in self._limiters.values())

    def limiter(self, model: str) -> ModelLimiter:
        """Return the limiter of ``model``; the empty name is for endpoints without a model."""
        found = self._limiters.get(model)
        return found if found is not None else self._new_limiter(model)

    def _new_limiter(self, model: str) -> ModelLimiter:
        if len(self._limiters) >= _MOST_MODELS:
            for idle in [name for name, limiter in self._limiters.items() if limiter.idle]:
                self._limiters.pop(idle).leave_group()
        # A failed fetch is usually the fault of the page and says nothing about other pages.
        policy = None if model == FETCH_PATH else self._breaker
        breaker = Breaker(policy, self._chance) if policy is not None else None
        at_once, rates = self._tool_limits.at_once(model), self.rates
        if at_once is None:
            window = self.windows(model)
        else:
            # Tools have their own limits; request and token rates apply to models.
            window, rates = FixedLimit(at_once), _rates_of(self._tool_limits.per_second(model))
        limiter = self._limiters[model] = ModelLimiter(model, window, self.origin, breaker, rates)
        self._joins(limiter)
        return limiter

    def _origin_opened(self) -> None:
        breaker = self.origin.breaker
        assert breaker is not None  # noqa: S101  called when it opens
        for limiter in self.limiters:
            limiter.refuse(breaker, bulk=not self.origin.ever_reached)

    def _origin_closed(self) -> None:
        for limiter in self.limiters:
            limiter.window.restart(self.loop.time())
            limiter.reset()

    def reset(self) -> None:
        """Close all breakers, end all pauses and refill the retry credit."""
        if self.origin.breaker is not None:
            self.origin.breaker.reset()
        for limiter in self.limiters:
            limiter.reset()

    def __getattr__(self, name: str) -> Any:
        return attribute(self, name, _RENAMED)

    def dismiss(self, error: APIError) -> None:
        """Fail all waiting attempts with a copy of ``error``: the client is closed, or the account is refused."""
        for limiter in self.limiters:
            limiter.dismiss(error)


def _rates_of(per_second: float | None) -> RateLimits | None:
    return None if per_second is None else RateLimits(_SECONDS * per_second, None)
