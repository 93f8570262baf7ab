"""A daily budget: money is held before a call is sent and settled to what it cost, so no number of calls at once
can spend more than there is.

A process takes money for several calls at a time from the file that all processes share, so most calls cost
two additions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from deepseek_async.admission.budget.calendar import Day, day_at, zone_of
from deepseek_async.admission.budget.charge import Charge
from deepseek_async.admission.budget.ledger import NANO, Ledger, nano
from deepseek_async.admission.budget.store import Spending, Standing, Store
from deepseek_async.errors import BudgetExceededError, ConfigurationError
from deepseek_async.events import BudgetAlert, tell
from deepseek_async.forks import AtFork, register
from deepseek_async.labels import current_labels
from deepseek_async.pricing import Meter, PriceTable, price_table
from deepseek_async.private_files import reason_of, state_folder
from deepseek_async.types import CompletionUsage
from deepseek_async.unpriced import say_unpriced

_LOG: Final = logging.getLogger("deepseek_async")

T = TypeVar("T")

AtCap = Literal["error", "wait", "cheaper"]

_FLUSH_SECONDS: Final = 1.0
_DENIED_SECONDS: Final = 1.0
"""For how long a refusal of the file holds, so that a service at its cap does not ask it for every call."""
_LONGEST_SLEEP: Final = 60.0
"""The clock may be set while we wait for the next day."""
_IDLE_SECONDS: Final = 5.0
"""After so long without a call, what was taken for further calls is given back."""
_CALLS_AHEAD: Final = 256
_MOST_CALLS_AHEAD: Final = 4096


class Budget(AtFork):
    """At most ``daily`` US dollars a day. One budget may serve several clients of one event loop.

    - ``zone``: where the day is counted, an IANA name; UTC by default.
    - ``at_cap``: what happens to a call that does not fit: ``error`` (default) raises BudgetExceededError,
      ``wait`` waits for the next day, ``cheaper`` uses ``cheaper_model`` while that fits.
    - ``alerts``: shares of the budget at which ``on_alert``, the log and the listeners are told, each once a day.
    - ``path``: the SQLite file that the processes of a machine share and that survives a restart;
      ``budget.sqlite`` in the user's state folder by default, ``:memory:`` for none.

    A call holds the most it can cost; set ``max_tokens`` to hold less. While other calls hold money that may come
    back, a call that does not fit waits for them. Raises ConfigurationError for values that make no sense, and
    from a call when the file cannot be used: money that cannot be counted is not spent.
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
        self.alerts: Final = _checked_alerts(alerts)
        self.daily: Final = _checked_daily(daily)
        self.at_cap: Final = _checked_at_cap(at_cap, cheaper_model)
        self.cheaper_model: Final = cheaper_model
        self.zone: Final = zone
        self._where = zone_of(zone)
        self._cap = nano(daily)
        self._prices = prices or price_table()
        self._meter = Meter(self._prices, say_unpriced)
        self._clock = clock
        self.listeners: list[Callable[[BudgetAlert], Any]] = [] if on_alert is None else [on_alert]
        """Told of alerts; clients add theirs."""
        self.path: Final = None if path == ":memory:" else Path(path or state_folder() / "budget.sqlite").expanduser()
        self._store = None if self.path is None else Store(self.path)
        self._thread: ThreadPoolExecutor | None = None
        self._day = Day("", 0.0)
        self._ledger = Ledger("")
        self._others = Standing()
        self._spending: dict[tuple[str, str], Spending] = {}
        self._raised: set[float] = set()
        self._calls_ahead = _CALLS_AHEAD
        self._last_allotment = 0.0
        self._denied = (0.0, 0)
        self._used_since_flush = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._returned = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._parents: Ledger | None = None
        """Of the calls that the parent of this process had under way when it forked."""
        register(self)

    def __repr__(self) -> str:
        if "_others" not in vars(self):
            return "<Budget not configured>"  # in the traceback of a wrong setting
        return f"<Budget of ${self.daily:g} a day ({self.zone}), ${self.remaining:.4f} left>"

    def in_memory(self) -> Budget:
        """A budget like this one without a file, for calls that nobody pays."""
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
    def remaining(self) -> float:
        """US dollars not spent of the running day, as far as this process knows; negative if overspent."""
        return (self._cap - self._others.spent - self._ledger.spent) / NANO

    def use_rates(self, currency_rates: Mapping[str, float]) -> None:
        """Convert by ``currency_rates`` what has no price in US dollars, unless rates were given with ``prices``."""
        if currency_rates and not self._prices.currency_rates:
            self._prices = self._prices.with_rates(currency_rates)
            self._meter = Meter(self._prices, say_unpriced)

    def hold_nowait(self, most: CompletionUsage, model: str) -> Charge | None:
        """Money for one attempt on ``model`` that uses at most ``most``; None if that takes more than a look."""
        now = self._clock()
        if self._turn.locked():
            return None
        amount = self._amount(most, model, now)
        ledger = self._today(now)
        return self._charge(ledger, amount, most, model, now) if ledger.reserve(amount) else None

    async def hold(self, most: CompletionUsage, model: str) -> Charge:
        """As ``hold_nowait``; waits for calls under way that may give money back.

        Raises BudgetExceededError, or waits for the next day, as ``at_cap`` says.
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
                if await self._allot(ledger, amount):
                    continue
                if ledger is not self._ledger:
                    continue  # the day ended meanwhile
                if ledger.reserved:
                    # A call under way may cost less than is held for it.
                    self._returned.clear()
                    await self._returned.wait()
                elif self.at_cap == "wait":
                    await self._sleep_towards_tomorrow()
                else:
                    raise self._exceeded(amount, model, ledger)

    def settled(self, charge: Charge, used: int) -> None:
        """A charge has ended; charges call this."""
        if charge.ledger is self._parents:
            return  # the parent counts it
        charge.ledger.settle(charge.amount, used)
        item = self._spending.get((charge.model, charge.tag))
        if item is None:
            item = self._spending[charge.model, charge.tag] = Spending()
        item.calls += 1
        item.spent += used
        if self._turn.locked():
            self._returned.set()
        if self._timer is None and self._loop is not None and not self._loop.is_closed():
            self._timer = self._loop.call_later(_FLUSH_SECONDS, self._flush_soon)

    async def flush(self) -> None:
        """Write down what was spent, give back what is not needed, and raise the alerts that are due."""
        async with self._writing:
            ledger, store = self._ledger, self._store
            spending, self._spending = self._spending, {}
            used, self._used_since_flush = self._used_since_flush, False
            if not ledger.day:
                return
            if store is None:
                self._raise_alerts(ledger, self._due(ledger.spent))
                return
            allotted = ledger.keep_only(max(0, ledger.free) if used else 0)

            def write() -> tuple[Standing, list[float]]:
                others = store.report(ledger.day, allotted=allotted, spent=ledger.spent, spending=spending)
                due = self._due(others.spent + ledger.spent)
                return others, store.first_to_alert(ledger.day, due) if due else []

            try:
                others, due = await self._on_thread(write)
            except ConfigurationError as error:
                self._keep_for_later(spending)
                _LOG.warning("what was spent could not be written down, and will be tried again: %s", error.message)
                return
            if ledger is self._ledger:
                self._others = others
                self._raise_alerts(ledger, due)

    async def spending(self) -> dict[tuple[str, str], Spending]:
        """What the running day was spent on so far, by model and tag, over all processes."""
        self._today(self._clock())
        await self.flush()
        return await self._on_thread(lambda: self._store.spending(self._day.name) if self._store else {})

    async def standing(self) -> Standing:
        """Where the running day stands, over all processes."""
        self._today(self._clock())
        if self._store is None:
            return Standing(self._ledger.spent + self._ledger.reserved, self._ledger.spent)
        store, day = self._store, self._day.name
        return await self._on_thread(lambda: store.standing(day))

    async def aclose(self) -> None:
        """Write down what was spent and give back the rest. The budget may be used again afterwards."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._used_since_flush = False
        if self._ledger.day:
            await self.flush()
        if self._thread is not None:
            if self._store is not None:
                await self._on_thread(self._store.close)
            self._thread.shutdown()
            self._thread = None

    def after_fork_in_child(self) -> None:
        """Hold nothing of what was allotted to the parent, and write nothing that the parent writes."""
        self._parents = parents = self._ledger
        # Without a file nobody else knows what was spent before.
        self._ledger = Ledger("") if self._store else Ledger(parents.day, allotted=self._cap, spent=parents.spent)
        self._spending, self._used_since_flush = {}, False
        self._thread = self._loop = self._timer = None
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
                _LOG.info("the budget's day %s is over: $%.4f spent", self._ledger.day, self._ledger.spent / NANO)
            self._ledger = Ledger(day.name, allotted=self._cap if self._store is None else 0)
            self._others, self._raised, self._denied = Standing(), set(), (0.0, 0)
        self._day = day

    def _amount(self, most: CompletionUsage, model: str, now: float) -> int:
        rate = self._meter.rate_of(None, model, now)
        if most.fees and (kinds := rate.lacks_dollars(most)):
            raise ConfigurationError(
                f"a budget in US dollars cannot hold the fee for {', '.join(kinds)}: DeepSeek publishes it in yuan "
                "only, and nothing was sent. Say what a yuan is to count for: "
                "AsyncDeepSeek(currency_rates={'CNY': …}), or DEEPSEEK_ASYNC_CNY_RATE",
            )
        return nano(rate.cost(most))

    def _charge(self, ledger: Ledger, amount: int, most: CompletionUsage, model: str, now: float) -> Charge:
        self._used_since_flush = True
        return Charge(ledger, amount, most, model, now, current_labels().tag or "", self._meter, self)

    async def _allot(self, ledger: Ledger, amount: int) -> bool:
        """Whether the file gave this process what ``amount`` lacks."""
        store, least = self._store, amount - ledger.free
        now = time.monotonic()
        until, denied = self._denied
        if store is None or (now < until and least >= denied):
            return False
        recent = now - self._last_allotment < _FLUSH_SECONDS
        self._calls_ahead = min(self._calls_ahead * 2, _MOST_CALLS_AHEAD) if recent else _CALLS_AHEAD
        wanted = amount * self._calls_ahead
        async with self._writing:
            allotted, least = ledger.allotted, amount - ledger.free
            if least <= 0:
                return True
            added, others = await self._on_thread(
                lambda: store.allot(ledger.day, cap=self._cap, allotted=allotted, least=least, wanted=wanted),
            )
            ledger.allotted += added
        self._last_allotment = time.monotonic()
        if ledger is self._ledger:
            self._others = others
        if not added:
            self._denied = (self._last_allotment + _DENIED_SECONDS, least)
        return added > 0

    def _keep_for_later(self, spending: dict[tuple[str, str], Spending]) -> None:
        for key, item in spending.items():
            kept = self._spending.setdefault(key, Spending())
            kept.calls += item.calls
            kept.spent += item.spent

    async def _sleep_towards_tomorrow(self) -> None:
        await asyncio.sleep(min(_LONGEST_SLEEP, max(0.0, self._day.end - self._clock())))

    def _exceeded(self, amount: int, model: str, ledger: Ledger) -> BudgetExceededError:
        left = max(0.0, self._day.end - self._clock())
        cheaper = self.cheaper_model if self.at_cap == "cheaper" and model != self.cheaper_model else None
        spent = (self._others.held + ledger.spent + ledger.reserved) / NANO
        return BudgetExceededError(
            f"the day's budget does not suffice: this call on {model} can cost ${amount / NANO:.6f}, and "
            f"${max(0.0, self.daily - spent):.6f} of ${self.daily:.6f} are left or held until {ledger.day} ends in "
            f"{self.zone}, in {left:.0f} s. Raise the budget, or lower max_tokens so that less is held for a call",
            budget=self.daily,
            spent=spent,
            needed=amount / NANO,
            day=ledger.day,
            retry_after=left,
            cheaper_model=cheaper,
        )

    def _due(self, spent: int) -> list[float]:
        return [share for share in self.alerts if share not in self._raised and spent >= share * self._cap]

    def _raise_alerts(self, ledger: Ledger, due: Iterable[float]) -> None:
        spent = self._others.spent + ledger.spent
        self._raised.update(self._due(spent))
        for share in due:
            alert = BudgetAlert(share, spent / NANO, self.daily, ledger.day, self.zone)
            _LOG.warning(
                "%.0f %% of the budget of %s is spent: $%.4f of $%g",
                *(share * 100, ledger.day, alert.spent, self.daily),
            )
            tell(self.listeners, alert)

    def _flush_soon(self) -> None:
        self._timer = None
        task = asyncio.ensure_future(self.flush())
        task.add_done_callback(self._flushed)

    def _flushed(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None or self._loop is None:
            return
        # Once more, to give back what nobody has used since, and to write down what could not be written.
        unused = self._ledger.free > 0 and self._thread is not None
        if self._timer is None and self._store is not None and (unused or self._spending):
            self._timer = self._loop.call_later(_IDLE_SECONDS, self._flush_soon)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "deepseek_async budget")
        # Shielded, because an allotment that is made must be known, and a store is used by one thread at a time.
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except (sqlite3.Error, OSError) as error:
            reason = reason_of(error)
        raise ConfigurationError(f"the budget in {self.path} cannot be used: {reason}")


def _checked_daily(daily: float) -> float:
    if isinstance(daily, bool) or not isinstance(daily, int | float) or not 0 < daily < 1e9:
        raise ConfigurationError(f"budget.daily must be US dollars above 0, not {daily!r}")
    return float(daily)


def _checked_at_cap(at_cap: AtCap, cheaper_model: str | None) -> AtCap:
    if at_cap not in {"error", "wait", "cheaper"}:
        raise ConfigurationError(f"budget.at_cap must be error, wait or cheaper, not {at_cap!r}")
    if at_cap == "cheaper" and not cheaper_model:
        raise ConfigurationError("budget.at_cap 'cheaper' needs budget.cheaper_model, for example 'deepseek-flash'")
    return at_cap


def _checked_alerts(alerts: Iterable[float]) -> tuple[float, ...]:
    shares = tuple(sorted(alerts))
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigurationError(f"budget.alerts must be shares above 0 and up to 1, not {share!r}")
    return shares
