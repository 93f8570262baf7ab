"""The client's money held against what the service has billed, over random calls.

    python tests/faults/reconciliation.py --calls 5000

Chat plain and streamed, responses, messages, text completions, tools, structured answers and bulk rows, with searches
of the model, titles and the check of contents; stand-alone tools and uploads; with faults, retries, fallbacks,
cancellations and streams that are left. Where a usage arrived, the client's figures are the service's, in tokens and in
fees; and where none did, which must be guessed, they are never below, with a budget or without one, in dollars and in
yuan.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from random_calls import RandomCalls

from deepseek_async import AsyncDeepSeek, Budget, DeepSeekError, RetryPolicy, Timeouts, ToolLimits
from deepseek_async.events import CallEnded
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import FaultKind, Simulator, SimulatorSettings
from deepseek_async.simulator.faults import OF_UPLOADS

ENDLESS = {FaultKind.STALL, FaultKind.KEEP_ALIVES_FOR_EVER, FaultKind.KEEP_ALIVES_AFTER_CONTENT}
ACCOUNT = {FaultKind.WRONG_KEY, FaultKind.MISSING_AUTHORIZATION, FaultKind.INSUFFICIENT_BALANCE}
PAUSES = {kind for kind in FaultKind if kind.value.startswith("rate_limit")} | {FaultKind.OVERLOADED}
CALLERS = 16
NANO = 1e-9
YUAN = 0.14
"""US dollars for one, with a budget, which is in dollars."""


class Reconciliation:
    """One simulator, one client, so many calls; ``differences`` afterwards.

    - ``calm``: no faults, no cancellations, no stream that is left: then all figures are equal.
    - ``shape``, ``counted``: how the service tells of its searches.
    """

    def __init__(
        self,
        seed: int,
        calls: int,
        *,
        fault_rate: float = 0.1,
        bulk: bool = True,
        budget: bool = True,
        calm: bool = False,
        shape: Literal["fields", "blocks", "links"] = "fields",
        counted: bool = True,
    ) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._left = calls
        self._fault_rate = 0.0 if calm else fault_rate
        self._budget_too = budget
        self._calm = calm
        self._web: dict[str, Any] = {"web_shape": shape, "count_server_tools": counted}
        self._blind = shape == "links" and not counted
        """Whether nothing shows a search of an answer that lost its links; the sums are held against the bill all the
        same, because whatever has links is counted at most."""
        self._calls = RandomCalls(self._chance, bulk=bulk, leaving=not calm)
        self.ended: list[CallEnded] = []
        self.differences: list[str] = []
        self.summary = ""

    async def run(self) -> None:
        settings = SimulatorSettings(
            seed=self._seed,
            fault_rate=self._fault_rate,
            fault_kinds=tuple(kind for kind in FaultKind if kind not in ENDLESS | ACCOUNT | PAUSES | OF_UPLOADS),
            tokens_per_second=20_000.0,
            keep_alive_interval=0.02,
            record_limit=1_000_000,
            **self._web,
        )
        # Off peak whenever the test runs, as the simulator's prices are.
        today = datetime.now(UTC)
        holidays = [(today + timedelta(days=days)).date() for days in range(-1, 3)]
        prices = price_table().with_holidays(holidays)
        budget = Budget(100_000.0, path=":memory:", prices=prices)
        async with Simulator(settings) as simulator:
            client = AsyncDeepSeek(
                api_key="sk-reconciled-0123456789abcdef",
                base_url=simulator.base_url,
                retry=RetryPolicy(max_attempts=3, base_delay=0, max_delay=0),
                timeout=Timeouts(headers=20, first_content=20, idle=20, stall=20),
                fallback_models=["deepseek-v4-pro"],
                budget=budget if self._budget_too else None,
                currency_rates={"CNY": YUAN} if self._budget_too else {},
                listeners=[self._hear],
                holidays=holidays,
                breaker=None,
                lint="off",
                max_concurrency=CALLERS,
                tool_limits=ToolLimits(searches_per_second=10_000, fetches_per_second=10_000),
            )
            async with client:
                await asyncio.gather(*(self._caller(client) for _ in range(CALLERS)))
                await simulator.until(lambda statistics: statistics.in_flight == 0)
                spent = budget.daily - budget.remaining if self._budget_too else None
            self._compare(simulator, spent)

    def _hear(self, event: Any) -> None:
        if isinstance(event, CallEnded):
            self.ended.append(event)

    async def _caller(self, client: AsyncDeepSeek) -> None:
        chance = self._chance
        while self._left > 0:
            self._left -= 1
            call = asyncio.ensure_future(self._calls.way()(client))
            if not self._calm and chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.02)
                call.cancel()
            try:
                await call
            except DeepSeekError:
                pass
            except asyncio.CancelledError:
                if not call.cancelled():
                    raise

    def _compare(self, simulator: Simulator, spent: float | None) -> None:
        bills = {_plain(bill.id): bill for bill in simulator.ledger}
        known = self._known()
        for name, usage in known.items():
            self._compare_usage(name, usage, bills.get(name))
        exactly = [] if self._blind else [ended for ended in self.ended if self._all_known(ended, bills)]
        for ended in exactly:
            self._compare_cost(ended, sum(bills[name].dollars for name in _names(ended)))
        self.differences += self._calls.differences
        told, billed = sum(ended.cost or 0.0 for ended in self.ended), self._billed(simulator)
        spent = told if spent is None else spent
        for who, dollars in (("events", told), ("the budget", spent)):
            self._hold(f"{who}: dollars", dollars, billed, NANO * (len(bills) + len(self.ended)))
        self._compare_fees(simulator)
        usages = [ended.usage for ended in self.ended if ended.usage is not None]
        for name in ("prompt_tokens", "completion_tokens"):
            self._hold(name, sum(getattr(usage, name) for usage in usages), getattr(simulator.ledger, name))
        if abs(told - spent) > 1e-6 + NANO * len(self.ended):
            self.differences.append(f"events told ${told:.9f}, the budget ${spent:.9f}")
        mine = sum(ended.cost or 0.0 for ended in exactly)
        ours = sum(bills[name].dollars for ended in exactly for name in _names(ended))
        self.summary = (
            f"seed {self._seed}: {len(self.ended):,} calls ended, {len(bills):,} requests billed ${billed:.6f}; "
            f"{len(known):,} usages arrived and were held against the ledger; {len(exactly):,} calls of which all "
            f"arrived cost ${mine:.6f}, billed ${ours:.6f}; events and budget say ${told:.6f} and ${spent:.6f} in "
            f"all; {len(self.differences)} differences"
        )

    def _billed(self, simulator: Simulator) -> float:
        """US dollars; with a budget also for what is published in yuan only, as the client counts it."""
        billed = simulator.ledger.dollars
        if self._budget_too:
            fees = price_table().fees_at(time.time())
            only_yuan = {kind: count for kind, count in simulator.ledger.fees.items() if fees[kind].USD is None}
            billed += YUAN * sum(fees[kind].charge(count).cny for kind, count in only_yuan.items())
        return billed

    def _compare_fees(self, simulator: Simulator) -> None:
        """By currency and by kind; of a lost call nobody knows searches from pages, which cost the same."""
        told: Counter[str] = Counter()
        yuan = 0.0
        for ended in self.ended:
            told.update({fee.kind: fee.count for fee in ended.fees})
            yuan += sum(fee.cny for fee in ended.fees)
        billed = simulator.ledger.fees
        for kinds in (("search", "fetch"), ("page",), ("speech_characters",), ("audio_seconds",)):
            self._hold(" and ".join(kinds), sum(told[kind] for kind in kinds), sum(billed[kind] for kind in kinds))
        self._hold("yuan", yuan, simulator.ledger.nano_yuan / 1e9, NANO * len(simulator.ledger))

    def _hold(self, what: str, told: float, billed: float, slack: float = 0.0) -> None:
        """Never below, and equal where nothing was lost."""
        if told + slack < billed or (self._calm and abs(told - billed) > slack):
            self.differences.append(f"{what}: {told:,.9g} told, {billed:,.9g} billed")

    def _known(self) -> dict[str, Any]:
        """Usages that arrived, by the id of their answer."""
        known: dict[str, Any] = {}
        for ended in self.ended:
            if ended.operation.startswith("tools."):
                continue  # no id is on their bills: ``RandomCalls`` holds them against what was asked for
            for attempt in ended.billed_attempts:
                if attempt.usage.corrected is None:
                    known[_plain(attempt.response_id)] = attempt.usage
            if not ended.billed_attempts and ended.usage is not None and ended.response_id is not None:
                known[_plain(ended.response_id)] = ended.usage
        return known

    def _compare_usage(self, name: str, usage: Any, bill: Any) -> None:
        counted = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.fees or {})
        fees = {} if bill is None or (self._blind and not usage.fees) else bill.fees
        billed = bill and (bill.prompt_tokens, bill.cache_hit_tokens, bill.completion_tokens, fees)
        if counted != billed:
            self.differences.append(f"{name}: counted {counted}, billed {billed}")

    def _compare_cost(self, ended: CallEnded, billed: float) -> None:
        if abs((ended.cost or 0.0) - billed) > NANO * len(_names(ended)):
            how = f"{ended.operation} {ended.model} {ended.outcome} attempts {ended.attempts}"
            self.differences.append(f"{how}: told ${ended.cost}, billed ${billed:.9f}")

    @staticmethod
    def _all_known(ended: CallEnded, bills: dict[str, Any]) -> bool:
        """Whether every attempt of the call that was billed told its usage: all sent ones but refusals."""
        names = _names(ended)
        if any(attempt.usage.corrected is not None for attempt in ended.billed_attempts):
            return False
        return bool(names) and ended.attempts == len(names) and all(name in bills for name in names)


def _plain(name: str | None) -> str:
    """An id in one form: responses have another one for the same answer."""
    return (name or "").removeprefix("resp_").replace("-", "")


def _names(ended: CallEnded) -> list[str]:
    if ended.billed_attempts:
        return [_plain(attempt.response_id) for attempt in ended.billed_attempts]
    return [] if ended.usage is None or ended.response_id is None else [_plain(ended.response_id)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calm", action="store_true", help="no faults, cancellations and left streams: all is equal")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    reconciliation = Reconciliation(options.seed, options.calls, calm=options.calm)
    asyncio.run(reconciliation.run())
    sys.stdout.write(f"{reconciliation.summary} ({time.monotonic() - began:.0f} s)\n")
    for difference in reconciliation.differences[:20]:
        sys.stdout.write(f"  {difference}\n")
    raise SystemExit(bool(reconciliation.differences))


if __name__ == "__main__":
    main()
