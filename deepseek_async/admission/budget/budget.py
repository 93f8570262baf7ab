"""Daily budget: money is reserved before a call is sent and settled to its cost, so that concurrent calls cannot
overspend it.

A process reserves money for several calls at a time in the shared file or Redis, so that most calls cost two
additions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deepseek_async.admission.budget.alerts import Alerts
from deepseek_async.admission.budget.calendar import Day, day_at, zone_of
from deepseek_async.admission.budget.charge import Charge
from deepseek_async.admission.budget.ledger import NANO, Ledger, nano
from deepseek_async.admission.budget.outage import Outage
from deepseek_async.admission.budget.refusal import exceeded
from deepseek_async.admission.budget.store import DayTotals, Spending, UnansweredError
from deepseek_async.admission.budget.store_thread import StoreThread
from deepseek_async.admission.budget.validation import AtCap, checked_alerts, checked_at_cap, checked_daily
from deepseek_async.errors import BudgetExceededError, ConfigurationError
from deepseek_async.events import BudgetAlert
from deepseek_async.labels import current_labels
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.pricing.unpriced import say_unpriced
from deepseek_async.process.forks import AtFork, register
from deepseek_async.types import CompletionUsage

_LOG: Final = logging.getLogger("deepseek_async")

_FLUSH_SECONDS: Final = 1.0
_DENIED_SECONDS: Final = 1.0
"""Seconds for which a refusal of the store is cached, so that a spent budget does not cause a query per call."""
_LONGEST_SLEEP: Final = 60.0
"""Maximum sleep in seconds; the clock may be set while waiting for the next day."""
_IDLE_SECONDS: Final = 5.0
"""Seconds without a call after which the unused allotment is returned."""
_IDLE_FLUSHES: Final = round(_IDLE_SECONDS / _FLUSH_SECONDS)
_CALLS_AHEAD: Final = 256
_MOST_CALLS_AHEAD: Final = 4096


class Budget(AtFork):
    """Daily budget of at most ``daily`` US dollars. One budget may serve several clients of one event loop.

    - ``zone``: time zone of the budget day, an IANA name; UTC by default.
    - ``at_cap``: what to do with a call that does not fit: ``error`` (default) raises BudgetExceededError,
      ``wait`` waits for the next day, ``cheaper`` uses ``cheaper_model`` while that fits.
    - ``alerts``: shares of the budget that trigger ``on_alert``, a log record and an event, each once a day.
    - ``path``: SQLite file shared by the processes of a machine and kept across restarts; ``:memory:`` for none. By
      default the Redis of the client (``shared="redis://…"``), so that all machines share one budget; else
      ``budget.sqlite`` in the user's state folder.

    Redis holds one budget per account and day. All clients of one Budget that name a Redis must name the same one and
    the same account (``account=``), the first of them before anything is spent; clients that name none are counted
    there too. Otherwise creating the client raises ConfigurationError.

    A call reserves its maximum cost; set ``max_tokens`` to reserve less. A call that does not fit waits while other
    calls hold money that may be returned. Raises ConfigurationError for invalid values, and from a call if file or
    Redis is unavailable for 30 s: money that cannot be counted is not spent. Until then calls use what is already
    allotted to this process.
    """

    def __init__(
        self,
        daily: float,
        *,
        zone: str = "UTC",
        at_cap: AtCap = "error",
        cheaper_model: str | None = None,
        alerts: Iterable[float] = (0.5, 0.8, 1.0),
        on_alert: Callable[[BudgetAlert], Any] | None = None,
        path: str | os.PathLike[str] | None = None,
        prices: PriceTable | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.alerts: Final = checked_alerts(alerts)
        self.daily: Final = checked_daily(daily)
        self.at_cap: Final = checked_at_cap(at_cap, cheaper_model)
        self.cheaper_model: Final = cheaper_model
        self.zone: Final = zone
        self._where = zone_of(zone)
        self._cap = nano(daily)
        self._prices = prices or price_table()
        self._meter = Meter(self._prices, say_unpriced)
        self._clock = clock
        self.listeners: list[Callable[[BudgetAlert], Any]] = [] if on_alert is None else [on_alert]
        """Alert listeners; clients add theirs."""
        self._keeper = StoreThread(path)
        self._day = Day("", 0.0)
        self._ledger = Ledger("")
        self._others = DayTotals()
        self._spending: dict[tuple[str, str], Spending] = {}
        self._alerts = Alerts(self.alerts, self.daily, zone)
        self._outage = Outage()
        self._calls_ahead = _CALLS_AHEAD
        self._last_allotment = 0.0
        self._denied = (0.0, 0)
        self._used_since_flush = False
        self._unused_flushes = 0
        self.unwritten = False
        """Internal: whether the last attempt to store the spending failed."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._returned = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._parents: Ledger | None = None
        """Ledger of the parent's calls in flight at the fork."""
        register(self)

    def __repr__(self) -> str:
        if "_parents" not in vars(self):
            return "<Budget not configured>"  # __init__ raised
        return f"<Budget of ${self.daily:g} a day ({self.zone}), ${self.remaining:.4f} left>"

    def in_memory(self) -> Budget:
        """Return a copy of this budget without storage, for calls that cost nothing."""
        alike = Budget(
            self.daily,
            zone=self.zone,
            at_cap=self.at_cap,
            cheaper_model=self.cheaper_model,
            alerts=self.alerts,
            path=":memory:",
            prices=self._prices,
            clock=self._clock,
        )
        alike.listeners += self.listeners
        return alike

    @property
    def path(self) -> Path | None:
        """File of the budget; None if it is in Redis or in memory."""
        return self._keeper.path

    @property
    def is_shared(self) -> bool:
        """Internal: whether other processes share it."""
        return self._keeper.store is not None

    def share(self, url: str, account: str) -> None:
        """Internal: attach a client's ``shared`` setting ``url``. Raises ConfigurationError on a conflict."""
        self._keeper.share(url, account, cap=self._cap, used=bool(self._ledger.day))

    @property
    def remaining(self) -> float:
        """US dollars left today, as far as this process knows; negative if overspent."""
        return (self._cap - self._others.spent - self._ledger.spent) / NANO

    def use_rates(self, currency_rates: Mapping[str, float]) -> None:
        """Internal: set exchange rates for fees without a price in US dollars, unless ``prices`` came with rates."""
        if currency_rates and not self._prices.currency_rates:
            self._prices = self._prices.with_rates(currency_rates)
            self._meter = Meter(self._prices, say_unpriced)

    def hold_nowait(self, most: CompletionUsage, model: str) -> Charge | None:
        """Internal: reserve money for an attempt on ``model`` using at most ``most``; None if that requires waiting."""
        now = self._clock()
        if self._turn.locked() and not self._outage.lasts:
            return None
        amount = self._amount(most, model, now)
        ledger = self._today(now)
        return self._charge(ledger, amount, most, model, now) if ledger.reserve(amount) else None

    async def hold(self, most: CompletionUsage, model: str) -> Charge:
        """Internal: reserve like ``hold_nowait``; waits for calls in flight that may return money.

        Raises BudgetExceededError, or waits for the next day, depending on ``at_cap``.
        """
        self._today(self._clock())
        async with self._turn:
            while True:
                now = self._clock()
                amount = self._amount(most, model, now)
                ledger = self._today(now)
                if amount > self._cap:
                    raise self._exceeded(amount, model, ledger)
                if ledger.reserve(amount):
                    return self._charge(ledger, amount, most, model, now)
                try:
                    if await self._allot(ledger, amount):
                        continue
                except UnansweredError as error:
                    await self._wait_for_store(error)
                    continue
                if ledger is not self._ledger:
                    continue  # the day has changed
                if ledger.reserved:
                    # A call in flight may cost less than is reserved for it.
                    self._returned.clear()
                    await self._returned.wait()
                elif self.at_cap == "wait":
                    await self._sleep_towards_tomorrow()
                else:
                    raise self._exceeded(amount, model, ledger)

    def settled(self, charge: Charge, used: int) -> None:
        """Internal: record the end of a charge; called by charges."""
        if charge.ledger is self._parents:
            return  # counted by the parent
        charge.ledger.settle(charge.amount, used)
        item = self._spending.get((charge.model, charge.tag))
        if item is None:
            item = self._spending[charge.model, charge.tag] = Spending()
        item.calls += 1
        item.spent += used
        if self._turn.locked():
            self._returned.set()
        if self._timer is None:
            self._report_in(_FLUSH_SECONDS)

    async def flush(self) -> None:
        """Store the spending, return the unused allotment, and raise due alerts."""
        used, self._used_since_flush = self._used_since_flush, False
        await self._report(gives_back=not used)

    async def _report(self, *, gives_back: bool) -> None:
        async with self._writing:
            ledger, store = self._ledger, self._keeper.store
            spending, self._spending = self._spending, {}
            if not ledger.day:
                return
            if store is None:
                self._alerts.tell(self._alerts.due(ledger.spent), ledger.spent, ledger.day, self.listeners)
                return
            allotted = ledger.keep_only(0 if gives_back else max(0, ledger.free))
            spent = ledger.spent

            def write() -> tuple[DayTotals, list[float]]:
                others = store.report(ledger.day, allotted=allotted, spent=spent, spending=spending)
                due = self._alerts.due(others.spent + spent)
                return others, store.first_to_alert(ledger.day, due) if due else []

            try:
                others, due = await self._keeper.on_thread(write)
            except ConfigurationError as error:
                if not self.unwritten:
                    self.unwritten = True
                    message = error.message
                    _LOG.warning("cannot store spending, retrying: %s", message)
                return
            self.unwritten = False
            self._outage.ended()
            if ledger is self._ledger:
                self._others = others
                self._alerts.tell(due, others.spent + ledger.spent, ledger.day, self.listeners)

    async def spending(self) -> dict[tuple[str, str], Spending]:
        """Return today's spending by model and tag, over all processes."""
        self._today(self._clock())
        await self.flush()
        store, day = self._keeper.store, self._day.name
        return {} if store is None else await self._keeper.on_thread(lambda: store.spending(day))

    async def standing(self) -> DayTotals:
        """Internal: return today's totals over all processes."""
        self._today(self._clock())
        store, day = self._keeper.store, self._day.name
        if store is None:
            return DayTotals(self._ledger.spent + self._ledger.reserved, self._ledger.spent)
        return await self._keeper.on_thread(lambda: store.standing(day))

    async def aclose(self) -> None:
        """Store the spending and return the unused allotment. The budget can be used again afterwards."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._used_since_flush = False
        if self._ledger.day:
            await self.flush()
        await self._keeper.aclose()

    def after_fork_in_child(self) -> None:
        """Internal: drop the parent's allotment and pending writes."""
        self._parents = parents = self._ledger
        # Without a file no process knows the earlier spending.
        self._ledger = Ledger("") if self.is_shared else Ledger(parents.day, allotted=self._cap, spent=parents.spent)
        self._spending, self._used_since_flush = {}, False
        self._keeper.begin_in_child()
        self._loop = self._timer = None
        self._turn, self._writing, self._returned = asyncio.Lock(), asyncio.Lock(), asyncio.Event()

    def _today(self, now: float) -> Ledger:
        if now >= self._day.end or self._loop is not asyncio.get_running_loop():
            self._begin(now)
        return self._ledger

    def _begin(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._timer = loop, None
            self._turn, self._writing, self._returned = asyncio.Lock(), asyncio.Lock(), asyncio.Event()
        day = day_at(now, self._where)
        if day.name != self._ledger.day:
            if self._ledger.day and self._spending:
                _LOG.info("budget day %s ended: $%.4f spent", self._ledger.day, self._ledger.spent / NANO)
            self._ledger = Ledger(day.name, allotted=0 if self.is_shared else self._cap)
            self._others, self._denied = DayTotals(), (0.0, 0)
            self._alerts.begin_day()
        self._day = day

    def _amount(self, most: CompletionUsage, model: str, now: float) -> int:
        rate = self._meter.rate_of(None, model, now)
        if most.fees and (kinds := rate.lacks_dollars(most)):
            raise ConfigurationError(
                f"cannot budget the fee for {', '.join(kinds)} in US dollars: DeepSeek publishes it only in yuan; not "
                "sent. Set an exchange rate: AsyncDeepSeek(currency_rates={'CNY': …}) or "
                "DEEPSEEK_ASYNC_CNY_RATE",
            )
        return nano(rate.cost(most))

    def _charge(self, ledger: Ledger, amount: int, most: CompletionUsage, model: str, now: float) -> Charge:
        self._used_since_flush = True
        return Charge(ledger, amount, most, model, now, current_labels().tag or "", self._meter, self)

    async def _allot(self, ledger: Ledger, amount: int) -> bool:
        """Whether the store allotted the missing part of ``amount``. Raises UnansweredError if a retry may help."""
        store, least = self._keeper.store, amount - ledger.free
        now = time.monotonic()
        until, denied = self._denied
        if store is None or (now < until and least >= denied):
            return False
        if (error := self._outage.known(now)) is not None:
            raise error
        recent = now - self._last_allotment < _FLUSH_SECONDS
        self._calls_ahead = min(self._calls_ahead * 2, _MOST_CALLS_AHEAD) if recent else _CALLS_AHEAD
        wanted = amount * self._calls_ahead
        async with self._writing:
            allotted, least = ledger.allotted, amount - ledger.free
            if least <= 0:
                return True
            added, others = await self._keeper.on_thread(
                lambda: store.allot(ledger.day, cap=self._cap, allotted=allotted, least=least, wanted=wanted),
            )
            ledger.allotted += added
        self._outage.ended()
        self._last_allotment = time.monotonic()
        if self._keeper.hears_of_holders and self._timer is None:
            self._report_in(_FLUSH_SECONDS)
        if ledger is self._ledger:
            self._others = others
        if not added:
            self._denied = (self._last_allotment + _DENIED_SECONDS, least)
        return added > 0

    async def _wait_for_store(self, error: UnansweredError) -> None:
        """Wait until the store may answer or a call returns money. Raises ConfigurationError when patience runs out."""
        if not self._outage.goes_on(error, time.monotonic()):
            raise ConfigurationError(error.message) from None
        self._returned.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(error.retry_in):
                await self._returned.wait()

    async def _sleep_towards_tomorrow(self) -> None:
        await asyncio.sleep(min(_LONGEST_SLEEP, max(0.0, self._day.end - self._clock())))

    def _exceeded(self, amount: int, model: str, ledger: Ledger) -> BudgetExceededError:
        return exceeded(
            amount,
            model,
            spent=self._others.held + ledger.spent + ledger.reserved,
            daily=self.daily,
            day=ledger.day,
            zone=self.zone,
            left=max(0.0, self._day.end - self._clock()),
            cheaper_model=self.cheaper_model if self.at_cap == "cheaper" and model != self.cheaper_model else None,
        )

    def _report_in(self, seconds: float) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._timer = self._loop.call_later(seconds, self._flush_soon)

    def _flush_soon(self) -> None:
        self._timer = None
        used, self._used_since_flush = self._used_since_flush, False
        self._unused_flushes = 0 if used else self._unused_flushes + 1
        gives_back = not used and (not self._keeper.hears_of_holders or self._unused_flushes >= _IDLE_FLUSHES)
        task = asyncio.ensure_future(self._report(gives_back=gives_back))
        task.add_done_callback(self._flushed)

    def _flushed(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or self._timer is not None or not self._keeper.is_used:
            return
        if self._keeper.hears_of_holders:
            if self._clock() < self._day.end or self.unwritten:
                self._report_in(_FLUSH_SECONDS)
        elif self._ledger.free > 0 or self.unwritten:
            # Repeat, to return what is still unused and to store what could not be stored.
            self._report_in(_IDLE_SECONDS)
