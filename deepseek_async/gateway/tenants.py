"""What each caller may use: its daily budget, its cap of requests in flight, its lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from deepseek_async.admission.budget import Budget
from deepseek_async.call.tenant import Tenant, serving
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.redis_url import is_redis
from deepseek_async.files.private_files import make_private_folder
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.labels import labelled

_ANYBODYS: Final = nullcontext()


class Tenants:
    """Budgets and caps of callers, made when a caller first asks."""

    def __init__(self, folder: Path, client: Callable[[], AsyncDeepSeek]) -> None:
        """Budgets are in the Redis that ``client`` shares with others, else in ``folder``."""
        self._folder = folder
        self._client = client
        self._budgets: dict[tuple[str, float, str], Budget] = {}
        self._caps: dict[tuple[str, int], asyncio.Semaphore] = {}

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
        tenant = Tenant(
            budget=self.budget(caller), bulk=caller.lane == "bulk", places=self._places(caller) if caller.hash else None
        )
        with labelled(tag=caller.name), serving(tenant):
            yield

    def budget(self, caller: CallerProfile) -> Budget | None:
        """Return the daily budget of a caller; None if it has none."""
        if caller.daily is None:
            return None
        client = self._client()
        key = (caller.name, caller.daily, client.settings.shared)
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = self._made(caller.name, caller.daily, client)
        return budget

    def _made(self, name: str, daily: float, client: AsyncDeepSeek) -> Budget:
        settings, prices = client.settings, client.prices
        if is_redis(settings.shared):
            budget = Budget(daily, prices=prices)
            budget.share(settings.shared, f"{settings.account}/callers/{name}")
        else:
            make_private_folder(self._folder)
            budget = Budget(daily, path=self._folder / f"{name}.sqlite", prices=prices)
        return budget

    async def aclose(self) -> None:
        """Store what was spent."""
        for budget in self._budgets.values():
            await budget.aclose()
