"""What each caller may use: its daily budget, its cap of requests in flight, its lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from deepseek_async.admission.budget import Budget
from deepseek_async.call.tenant import Tenant, serving
from deepseek_async.files.private_files import make_private_folder
from deepseek_async.gateway.callers import CallerProfile
from deepseek_async.labels import labelled
from deepseek_async.pricing.prices import PriceTable, price_table

_ANYBODYS: Final = nullcontext()


class Tenants:
    """Budgets and caps of callers, made when a caller first asks."""

    def __init__(self, folder: Path, prices: Callable[[], PriceTable] = price_table) -> None:
        self._folder = folder
        self._prices = prices
        self._budgets: dict[tuple[str, float], Budget] = {}
        self._caps: dict[tuple[str, int], asyncio.Semaphore] = {}

    def place(self, caller: CallerProfile) -> AbstractAsyncContextManager[None]:
        """Hold one of the caller's places, and make the calls in the block its own."""
        # A gateway without keys knows no callers.
        return self._place_of(caller) if caller.hash else _ANYBODYS

    @asynccontextmanager
    async def _place_of(self, caller: CallerProfile) -> AsyncIterator[None]:
        with self.serving(caller):
            if caller.max_concurrency is None:
                yield
                return
            key = (caller.name, caller.max_concurrency)
            cap = self._caps.get(key)
            if cap is None:
                cap = self._caps[key] = asyncio.Semaphore(caller.max_concurrency)
            async with cap:
                yield

    @contextmanager
    def serving(self, caller: CallerProfile) -> Iterator[None]:
        """Make the calls in the block the caller's own: its name as their label, its budget, its lane."""
        tenant = Tenant(budget=self.budget(caller), bulk=caller.lane == "bulk")
        with labelled(tag=caller.name), serving(tenant):
            yield

    def budget(self, caller: CallerProfile) -> Budget | None:
        """Return the daily budget of a caller; None if it has none."""
        if caller.daily is None:
            return None
        key = (caller.name, caller.daily)
        budget = self._budgets.get(key)
        if budget is None:
            make_private_folder(self._folder)
            budget = self._budgets[key] = Budget(
                caller.daily, path=self._folder / f"{caller.name}.sqlite", prices=self._prices()
            )
        return budget

    async def aclose(self) -> None:
        """Store what was spent."""
        for budget in self._budgets.values():
            await budget.aclose()
