"""What each caller may use: its daily budget, its cap of requests in flight, its lane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from deepseek_async.admission.budget import Budget
from deepseek_async.call.tenant import Tenant, serving
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.redis_url import is_redis, same_redis
from deepseek_async.configuration.settings import Settings
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import make_private_folder
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.labels import labelled

_LOG: Final = logging.getLogger("deepseek_async.gateway")

_ANYBODYS: Final = nullcontext()
_STORE_AGAIN: Final = 5.0
"""Seconds between attempts to store what was spent in a former budget."""


class _OwnBudget(msgspec.Struct, eq=False):
    """The budget of a caller, and how many of its requests and batches count in it."""

    budget: Budget
    daily: float
    client: AsyncDeepSeek
    """The client whose prices it has."""
    users: int = 0


class Tenants:
    """Budgets and caps of callers, made when a caller first asks.

    Several budgets of one caller, while requests under way end with a former limit, share one store: what was spent
    today counts in all of them.
    """

    def __init__(self, folder: Path, client: Callable[[], AsyncDeepSeek], began_with: Settings) -> None:
        """Budgets are in the Redis that ``began_with`` names, else in ``folder``."""
        self._folder = folder
        self._client = client
        self._shared = began_with.shared
        self._account = began_with.account
        """Kept when the settings change: it may be that of a key, and another one has money of its own."""
        self._budgets: dict[str, _OwnBudget] = {}
        self._former: set[_OwnBudget] = set()
        """Those that requests under way still use."""
        self._caps: WeakValueDictionary[tuple[str, int], asyncio.Semaphore] = WeakValueDictionary()
        self._storing: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def place(self, caller: CallerProfile) -> AbstractAsyncContextManager[None]:
        """Hold one of the caller's places, and make the calls in the block its own."""
        # A gateway without keys knows no callers.
        return self._place_of(caller) if caller.hash else _ANYBODYS

    @asynccontextmanager
    async def _place_of(self, caller: CallerProfile) -> AsyncIterator[None]:
        with self.serving(caller):
            places = self._places(caller)
            if places is None:
                yield
                return
            async with places:
                yield

    def _places(self, caller: CallerProfile) -> asyncio.Semaphore | None:
        if caller.max_concurrency is None:
            return None
        key = (caller.name, caller.max_concurrency)
        places = self._caps.get(key)
        if places is None:
            places = self._caps[key] = asyncio.Semaphore(caller.max_concurrency)
        return places

    @contextmanager
    def serving(self, caller: CallerProfile) -> Iterator[None]:
        """Make the calls in the block the caller's own: its name as their label, its budget, its lane."""
        own = self._own(caller)
        tenant = Tenant(
            budget=None if own is None else own.budget,
            bulk=caller.lane == "bulk",
            places=self._places(caller) if caller.hash else None,
        )
        if own is not None:
            own.users += 1
        try:
            with labelled(tag=caller.name), serving(tenant):
                yield
        finally:
            if own is not None:
                own.users -= 1
                if not own.users and own in self._former:
                    self._store(own)

    def check(self, settings: Settings) -> None:
        """Raise ConfigurationError for settings in which nothing would be known of what callers spent today."""
        if is_redis(settings.shared) and is_redis(self._shared):
            same = same_redis(settings.shared, self._shared)
        else:
            same = is_redis(settings.shared) == is_redis(self._shared)
        if not same:
            raise ConfigurationError(
                "the place that shared names holds what callers have spent today, so a running gateway keeps it: "
                "set shared back, or start the gateway again"
            )

    def release(self, names: Iterable[str] | None = None) -> None:
        """Free the budgets of ``names``, of all by default, once nothing uses them; whoever asks next has a new one."""
        for name in list(self._budgets if names is None else names):
            own = self._budgets.pop(name, None)
            if own is not None:
                self._former.add(own)
                if not own.users:
                    self._store(own)

    def _own(self, caller: CallerProfile) -> _OwnBudget | None:
        if caller.daily is None:
            return None
        client, own = self._client(), self._budgets.get(caller.name)
        if own is not None and own.daily == caller.daily and own.client is client:
            return own
        self.release((caller.name,))
        budget = self._made(caller.name, caller.daily, client)
        made = self._budgets[caller.name] = _OwnBudget(budget, caller.daily, client)
        return made

    def _made(self, name: str, daily: float, client: AsyncDeepSeek) -> Budget:
        shared = client.settings.shared
        if is_redis(shared):
            budget = Budget(daily, prices=client.prices)
            budget.share(shared, f"{self._account}/callers/{name}")
        else:
            make_private_folder(self._folder)
            budget = Budget(daily, path=self._folder / f"{name}.sqlite", prices=client.prices)
        return budget

    def _store(self, own: _OwnBudget) -> None:
        self._former.discard(own)
        storing = asyncio.create_task(self._stored(own.budget))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)

    async def _stored(self, budget: Budget) -> None:
        while True:
            try:
                await budget.aclose()
            except ConfigurationError as error:
                _LOG.warning("cannot close a former budget: %s", error.message)
            if not budget.unwritten or self._ending.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_STORE_AGAIN):
                    await self._ending.wait()

    async def aclose(self) -> None:
        """Store what was spent."""
        self._ending.set()
        self.release()
        for own in list(self._former):
            self._store(own)
        await asyncio.gather(*self._storing)
