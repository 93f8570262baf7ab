"""What operators put around a client: cache, budget, content filter, listeners. Made from arguments, once."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.admission.statistics import ModelStatistics
from deepseek_async.call.caller import Protections
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

_LOG: Final = logging.getLogger("deepseek_async")

_BREAKER_STATES: Final = {"closed": 0, "half-open": 1, "open": 2}


class Features:
    """Of one client. Modules are loaded only for what is used."""

    def __init__(
        self,
        *,
        cache: Cache | str | os.PathLike[str] | bool | None,
        budget: Budget | float | None,
        content_filter: ContentFilter | bool | None,
        listeners: Iterable[Listener],
        simulated: bool = False,
    ) -> None:
        """``simulated``: nobody pays for the calls, so they are counted nowhere that others share."""
        prepare()
        if level := os.environ.get("DEEPSEEK_ASYNC_LOG"):
            write_to_stderr(level)
        self.cache = _cache(cache)
        self.budget = _budget(budget)
        if simulated and self.budget is not None and self.budget.is_shared:
            self.budget = self.budget.in_memory()
        self.content = _content_filter(content_filter)
        if not isinstance(listeners, Iterable):
            raise ConfigurationError(f"listeners must be a list of what takes events, not {listeners!r}")
        self.listeners = list(listeners)
        for listener in self.listeners:
            if not callable(listener):
                raise ConfigurationError(f"a listener is called with every event; {listener!r} cannot be called")
        if self.budget is not None:
            self.budget.listeners += self.listeners

    def protections(self, settings: Settings) -> Protections:
        """All that there is, to be put around every call of the client, at whichever server."""
        if self.budget is not None:
            self.budget.use_rates(settings.currency_rates)
            self.budget.share(settings.shared, settings.account)
        if self.cache is None and self.content is None and not self.listeners:
            return Protections(self.budget, None)
        from deepseek_async.call.middleware import CallMiddleware  # noqa: PLC0415  brings SQLite and more

        middleware = CallMiddleware(
            meter=Meter(prices_of(settings), say_unpriced),
            listeners=self.listeners,
            cache=self.cache,
            content=self.content,
        )
        return Protections(self.budget, middleware)

    def rate(self, response_id: str, score: float) -> None:
        """Tell the listeners how content a user was. Raises ConfigurationError for a score that is none."""
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ConfigurationError(f"score must be from 0 to 1, not {score!r}")
        if not response_id or not isinstance(response_id, str):
            raise ConfigurationError(f"response_id must be the id of an answer, not {response_id!r}")
        tell(self.listeners, Rated(response_id, float(score), time.time()))

    def snapshot(self, limiters: Sequence[ModelStatistics]) -> Snapshot:
        """How the client stands, for gauges; a model that several servers have is counted together."""
        limits: dict[str, float] = {}
        states: dict[str, int] = {}
        # One process at least, and the account's figures as one member hears them: those of clients are the same.
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
        """Let each write what it holds. Those that other clients share may be used again."""
        for companion in (self.budget, self.cache, *self.listeners):
            close = getattr(companion, "aclose", None) or getattr(companion, "close", None)
            if close is None:
                continue
            try:
                closing = close()
                if inspect.isawaitable(closing):
                    await closing
            except Exception:  # noqa: BLE001  it may be a listener of the user's own
                _LOG.exception("%s could not be closed", type(companion).__name__)


def prices_of(settings: Settings) -> PriceTable:
    """The table that comes with the library, with what the client's settings say about days and currencies."""
    return price_table().with_holidays(settings.holidays).with_rates(settings.currency_rates)


def _cache(given: Any) -> Cache | None:
    if given is None or given is False:
        return None
    from deepseek_async.cache import Cache  # noqa: PLC0415  brings SQLite

    if given is True:
        return Cache()
    if isinstance(given, str | os.PathLike):
        return Cache(path=given)
    if not isinstance(given, Cache):
        raise ConfigurationError(f"cache must be True, the path of a file, or a Cache, not {given!r}")
    return given


def _budget(given: Any) -> Budget | None:
    if given is None:
        return None
    from deepseek_async.admission.budget import Budget  # noqa: PLC0415

    if isinstance(given, int | float) and not isinstance(given, bool):
        return Budget(given)
    if not isinstance(given, Budget):
        raise ConfigurationError(f"budget must be US dollars a day, or a Budget, not {given!r}")
    return given


def _content_filter(given: Any) -> ContentFilter | None:
    if given is None or given is False:
        return None
    from deepseek_async.content import ContentFilter  # noqa: PLC0415

    if given is True:
        return ContentFilter()
    if not isinstance(given, ContentFilter):
        raise ConfigurationError(f"content_filter must be True or a ContentFilter, not {given!r}")
    return given
