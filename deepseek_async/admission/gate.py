"""The order of the doors that every attempt passes: breaker, rate, slot. Waiting for a rate holds nothing; a slot is
scarce and comes last. Each model of the account is a scope of its own, because the API limits them apart."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.outage.breaker import Breaker, BreakerPolicy
from deepseek_async.admission.rate import RateLimits
from deepseek_async.admission.scope import Scope
from deepseek_async.admission.tool_limits import DEFAULT_TOOL_LIMITS, FETCH_PATH, ToolLimits
from deepseek_async.admission.window import FixedWindow, Window
from deepseek_async.errors import APIError

_log = logging.getLogger("deepseek_async")

_MOST_SCOPES: Final = 256
"""Scopes kept; model names may come from a user of the user, so idle ones are dropped beyond it."""


_SECONDS: Final = 60.0


class Gate:
    """One account on one origin. Must be made inside a running event loop.

    ``windows`` makes the concurrency window of a model when it is first asked for.
    """

    def __init__(
        self,
        windows: Callable[[str], Window],
        *,
        origin: str = "the service",
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        breaker: BreakerPolicy | None = None,
        chance: Callable[[], float] = random.random,
        tool_limits: ToolLimits = DEFAULT_TOOL_LIMITS,
        joins: Callable[[Scope], None] = lambda _: None,
    ) -> None:
        """``joins`` is told of every new scope, which may share its window with other processes."""
        self._joins = joins
        self.loop: Final = asyncio.get_running_loop()
        self.origin: Final = origin
        self.windows: Final = windows
        self._breaker = breaker
        self._chance = chance
        self.origin_breaker: Final = Breaker(breaker, chance) if breaker is not None else None
        """Counts only that the origin could not be reached; the models' own breakers count the rest."""
        limited = requests_per_minute is not None or tokens_per_minute is not None
        self.rates: Final = RateLimits(requests_per_minute, tokens_per_minute) if limited else None
        self._tool_limits = tool_limits
        self._scopes: dict[str, Scope] = {}
        self.users = 0
        """Clients that share it."""
        self.ever_reached = False
        """Whether the origin has ever answered. Bulk waits for an origin that is down, not for a wrong address."""

    @property
    def counts_tokens(self) -> bool:
        """Whether ``admit`` wants an estimate of the request's tokens."""
        return self.rates is not None and self.rates.counts_tokens

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The models called so far."""
        return tuple(self._scopes.values())

    @property
    def in_flight(self) -> int:
        """Attempts that run now."""
        return sum(scope.window.in_flight for scope in self._scopes.values())

    @property
    def waiting(self) -> int:
        """Attempts that wait for a slot."""
        return sum(scope.slots.waiting for scope in self._scopes.values())

    def scope(self, model: str) -> Scope:
        """The scope of ``model``; empty for endpoints without one."""
        found = self._scopes.get(model)
        return found if found is not None else self._new_scope(model)

    def _new_scope(self, model: str) -> Scope:
        if len(self._scopes) >= _MOST_SCOPES:
            for idle in [name for name, scope in self._scopes.items() if scope.idle]:
                self._scopes.pop(idle).leave_group()
        # What fails of a fetch is the page, most often, and says nothing of other pages.
        policy = None if model == FETCH_PATH else self._breaker
        breaker = Breaker(policy, self._chance) if policy is not None else None
        at_once, rates = self._tool_limits.at_once(model), self.rates
        if at_once is None:
            window = self.windows(model)
        else:
            # A tool has limits of its own, and those on requests and tokens a minute are a model's.
            window, rates = FixedWindow(at_once), _rates_of(self._tool_limits.per_second(model))
        scope = self._scopes[model] = Scope(model, window, self, breaker, rates)
        self._joins(scope)
        return scope

    def origin_opened(self) -> None:
        """The origin cannot be reached."""
        breaker = self.origin_breaker
        assert breaker is not None  # noqa: S101  it has just opened
        _log.warning("%s cannot be reached; next try in %.0f s", self.origin, breaker.retry_after(self.loop.time()))
        for scope in self.scopes:
            scope.refuse(breaker, bulk=not self.ever_reached)

    def origin_closed(self) -> None:
        """The origin is back."""
        _log.warning("%s can be reached again", self.origin)
        for scope in self.scopes:
            scope.window.restart(self.loop.time())
            scope.reset()

    def reset(self) -> None:
        """Close every breaker, end every pause and fill the retry credit."""
        if self.origin_breaker is not None:
            self.origin_breaker.reset()
        for scope in self.scopes:
            scope.reset()

    def dismiss(self, error: APIError) -> None:
        """Whoever waits gets a copy of ``error``: the client is closed, or the account takes no more requests."""
        for scope in self.scopes:
            scope.dismiss(error)


def _rates_of(per_second: float | None) -> RateLimits | None:
    return None if per_second is None else RateLimits(_SECONDS * per_second, None)
