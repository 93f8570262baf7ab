"""Optional features of a client: cache, budget, content filter, listeners. Built once from arguments."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission.statistics import ModelStatistics
from deepseek_async.call.caller import Protections
from deepseek_async.configuration.options import ClientOptions
from deepseek_async.configuration.settings import Settings
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import Listener, Rated, Snapshot, tell
from deepseek_async.observe.logs import prepare, write_to_stderr
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.pricing.unpriced import say_unpriced

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.cache import Cache
    from deepseek_async.content import ContentFilter
    from deepseek_async.prompt_cache import CacheReport

_LOG: Final = logging.getLogger("deepseek_async")

_BREAKER_STATES: Final = {"closed": 0, "half-open": 1, "open": 2}


class Features:
    """Features of one client. Modules are imported only for the features in use."""

    def __init__(self, options: ClientOptions, *, simulated: bool = False) -> None:
        """``simulated``: calls are free, so they are kept out of every shared count."""
        prepare()
        if level := os.environ.get("DEEPSEEK_ASYNC_LOG"):
            write_to_stderr(level)
        self.cache = _cache(options.get("cache"))
        self.budget = _budget(options.get("budget"))
        if simulated and self.budget is not None and self.budget.is_shared:
            self.budget = self.budget.in_memory()
        self.content = _content_filter(options.get("content_filter"))
        listeners = options.get("listeners", ())
        if not isinstance(listeners, Iterable):
            raise ConfigurationError(f"listeners must be an iterable of callables, got {type(listeners).__name__}")
        self.listeners = list(listeners)
        for listener in self.listeners:
            _check_listener(listener)
        if self.budget is not None:
            self.budget.listeners += self.listeners

    def add_listener(self, listener: Listener) -> None:
        """Add a listener. Raises ConfigurationError if it cannot be called."""
        _check_listener(listener)
        self.listeners.append(listener)
        if self.budget is not None:
            self.budget.listeners.append(listener)

    def protections(self, settings: Settings) -> Protections:
        """Return the features that wrap every call of the client, at every server."""
        if self.budget is not None:
            self.budget.use_rates(settings.currency_rates)
            self.budget.share(settings.shared, settings.account)
        if self.cache is None and self.content is None and not self.listeners:
            return Protections(self.budget, None)
        from deepseek_async.call.middleware import CallMiddleware  # noqa: PLC0415  imports SQLite and more

        middleware = CallMiddleware(
            meter=Meter(prices_of(settings), say_unpriced),
            listeners=self.listeners,
            cache=self.cache,
            content=self.content,
        )
        return Protections(self.budget, middleware)

    def cache_report(self) -> CacheReport:
        """Return the report of the PromptCacheWatch among the listeners. Raises ConfigurationError without one."""
        from deepseek_async.prompt_cache import PromptCacheWatch  # noqa: PLC0415  loaded only for reports

        for listener in self.listeners:
            if isinstance(listener, PromptCacheWatch):
                return listener.report()
        raise ConfigurationError(
            "cache_report() needs a listener that compares prompts: AsyncDeepSeek(listeners=[PromptCacheWatch()])"
        )

    def rate(self, response_id: str, score: float) -> None:
        """Send a user rating, from 0 to 1, to the listeners. Raises ConfigurationError for invalid arguments."""
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ConfigurationError(f"score must be from 0 to 1, got {score!r}")
        if not response_id or not isinstance(response_id, str):
            raise ConfigurationError(f"response_id must be a non-empty string, got {response_id!r}")
        tell(self.listeners, Rated(response_id, float(score), time.time()))

    def snapshot(self, limiters: Sequence[ModelStatistics]) -> Snapshot:
        """Return the client's state for gauges; a model that several servers have is counted together."""
        limits: dict[str, float] = {}
        states: dict[str, int] = {}
        # At least one process; the account's figures are one member's, because the members all report the same.
        members: dict[str, float] = {}
        account: dict[str, float] = {}
        running: dict[str, float] = {}
        for limiter in limiters:
            if limiter.model:
                window = limiter.window
                members[limiter.model] = max(members.get(limiter.model, 1.0), window.members)
                if window.account_size is not None:
                    account[limiter.model] = window.account_size
                    running[limiter.model] = window.account_in_flight or 0
                limits[limiter.model] = limits.get(limiter.model, 0.0) + limiter.window.size
            if limiter.model and limiter.breaker:
                states[limiter.model] = max(states.get(limiter.model, 0), _BREAKER_STATES[limiter.breaker])
        return Snapshot(
            in_flight=sum(limiter.in_flight for limiter in limiters),
            queue_depth={
                "interactive": sum(limiter.queued_interactive for limiter in limiters),
                "bulk": sum(limiter.queued_bulk for limiter in limiters),
            },
            concurrency_limit=limits,
            account_limit=account,
            account_in_flight=running,
            sharing_processes=members,
            breaker_state=states,
            budget_remaining=None if self.budget is None else self.budget.remaining,
            budget=None if self.budget is None else self.budget.daily,
        )

    async def aclose(self) -> None:
        """Flush every feature. Features shared with other clients remain usable."""
        for companion in (self.budget, self.cache, *self.listeners):
            close = getattr(companion, "aclose", None) or getattr(companion, "close", None)
            if close is None:
                continue
            try:
                closing = close()
                if inspect.isawaitable(closing):
                    await closing
            except Exception:  # noqa: BLE001  listeners may be foreign code
                _LOG.exception("cannot close %s", type(companion).__name__)


def prices_of(settings: Settings) -> PriceTable:
    """Return the built-in price table with the client's holidays and exchange rates."""
    return price_table().with_holidays(settings.holidays).with_rates(settings.currency_rates)


def _check_listener(listener: Any) -> None:
    if not callable(listener):
        raise ConfigurationError(f"listeners must be callables, got {listener!r}")


def _cache(given: Any) -> Cache | None:
    if given is None or given is False:
        return None
    from deepseek_async.cache import Cache  # noqa: PLC0415  imports SQLite

    if given is True:
        return Cache()
    if isinstance(given, str | os.PathLike):
        return Cache(path=given)
    if not isinstance(given, Cache):
        raise ConfigurationError(f"cache must be True, the path of a file, or a Cache, got {given!r}")
    return given


def _budget(given: Any) -> Budget | None:
    if given is None:
        return None
    from deepseek_async.admission.budget import Budget  # noqa: PLC0415

    if isinstance(given, int | float) and not isinstance(given, bool):
        return Budget(given)
    if not isinstance(given, Budget):
        raise ConfigurationError(f"budget must be US dollars per day or a Budget, got {given!r}")
    return given


def _content_filter(given: Any) -> ContentFilter | None:
    if given is None or given is False:
        return None
    from deepseek_async.content import ContentFilter  # noqa: PLC0415

    if given is True:
        return ContentFilter()
    if not isinstance(given, ContentFilter):
        raise ConfigurationError(f"content_filter must be True or a ContentFilter, got {given!r}")
    return given
