"""The client's money held against what the service has billed, over random calls.

    python tests/faults/reconciliation.py --calls 5000

Plain calls, streams, responses, messages, text completions, tools, structured answers and bulk rows, with faults,
retries, fallbacks, cancellations and streams that are left. Where a usage arrived, the client's figures are the
service's; and where none did, which must be guessed, they are never below, with a budget or without one.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import random
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from deepseek_async import AsyncDeepSeek, Budget, DeepSeekError, RetryPolicy, Timeouts
from deepseek_async.events import CallEnded
from deepseek_async.pricing import price_table
from deepseek_async.simulator import FaultKind, Simulator, SimulatorSettings
from deepseek_async.simulator.faults import OF_UPLOADS

ENDLESS = {FaultKind.STALL, FaultKind.KEEP_ALIVES_FOR_EVER, FaultKind.KEEP_ALIVES_AFTER_CONTENT}
ACCOUNT = {FaultKind.WRONG_KEY, FaultKind.MISSING_AUTHORIZATION, FaultKind.INSUFFICIENT_BALANCE}
PAUSES = {kind for kind in FaultKind if kind.value.startswith("rate_limit")} | {FaultKind.OVERLOADED}
CALLERS = 16
MODELS = ("deepseek-flash", "deepseek-v4-pro")
NANO = 1e-9


@dataclasses.dataclass
class Review:
    """What a structured answer is to be."""

    stars: int


class Reconciliation:
    """One simulator, one client, so many calls; ``differences`` afterwards."""

    def __init__(
        self, seed: int, calls: int, *, fault_rate: float = 0.1, bulk: bool = True, budget: bool = True
    ) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._left = calls
        self._fault_rate = fault_rate
        self._bulk_too = bulk
        self._budget_too = budget
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
                listeners=[self._hear],
                holidays=holidays,
                breaker=None,
                max_concurrency=CALLERS,
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
            call = asyncio.ensure_future(self._way()(client))
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.02)
                call.cancel()
            try:
                await call
            except DeepSeekError:
                pass
            except asyncio.CancelledError:
                if not call.cancelled():
                    raise

    def _way(self) -> Callable[[AsyncDeepSeek], Awaitable[None]]:
        ways = [self._plain, self._stream, self._left_stream, self._response, self._text, self._tools, self._object]
        ways = [*ways, self._message, self._message_stream] * 3
        return self._chance.choice([*ways, self._bulk] if self._bulk_too else ways)

    def _asked(self) -> dict[str, Any]:
        question = " ".join(self._chance.choices(("What", "is", "a", "price", "?", "Grüße", "世界"), k=20))
        return {
            "model": self._chance.choice(MODELS),
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self._chance.choice((8, 64, 400)),
            "thinking": self._chance.random() < 0.5,
        }

    async def _plain(self, client: AsyncDeepSeek) -> None:
        await client.chat.completions.create(**self._asked())

    async def _stream(self, client: AsyncDeepSeek) -> None:
        async with await client.chat.completions.create(**self._asked(), stream=True) as stream:
            async for _ in stream:
                pass

    async def _left_stream(self, client: AsyncDeepSeek) -> None:
        events = self._chance.randrange(20)
        async with await client.chat.completions.create(**self._asked(), stream=True) as stream:
            async for _ in stream:
                events -= 1
                if events < 0:
                    break

    async def _response(self, client: AsyncDeepSeek) -> None:
        await client.responses.create(model=self._chance.choice(MODELS), input="What is a price?", max_output_tokens=64)

    async def _message(self, client: AsyncDeepSeek) -> None:
        await client.messages.create(**self._message_asked())

    async def _message_stream(self, client: AsyncDeepSeek) -> None:
        events = self._chance.choice((self._chance.randrange(30), 10_000))
        async with client.messages.stream(**self._message_asked()) as stream:
            async for _ in stream:
                events -= 1
                if events < 0:
                    break

    def _message_asked(self) -> dict[str, Any]:
        asked = self._asked()
        return {**asked, "thinking": {"type": "enabled" if asked["thinking"] else "disabled"}}

    async def _text(self, client: AsyncDeepSeek) -> None:
        await client.completions.create(model="deepseek-v4-pro", prompt="def price(", max_tokens=32)

    async def _tools(self, client: AsyncDeepSeek) -> None:
        async def price(name: str = "tea") -> str:
            """The price of a thing."""
            return f"{name}: 3"

        await client.chat.completions.run_tools(**self._asked(), tools=[price], max_turns=3)

    async def _object(self, client: AsyncDeepSeek) -> None:
        await client.chat.completions.create(**self._asked(), response_format=Review)

    async def _bulk(self, client: AsyncDeepSeek) -> None:
        async for _ in client.batch.map([f"Row {self._chance.random()}" for _ in range(3)], max_tokens=16):
            pass

    def _compare(self, simulator: Simulator, spent: float | None) -> None:
        bills = {_plain(bill.id): bill for bill in simulator.ledger}
        known = self._known()
        for name, usage in known.items():
            self._compare_usage(name, usage, bills.get(name))
        exactly = [ended for ended in self.ended if self._all_known(ended, bills)]
        for ended in exactly:
            self._compare_cost(ended, sum(bills[name].dollars for name in _names(ended)))
        told, billed = sum(ended.cost or 0.0 for ended in self.ended), simulator.ledger.dollars
        spent = told if spent is None else spent
        for who, dollars in (("events", told), ("the budget", spent)):
            if dollars + NANO * len(bills) < billed:
                self.differences.append(f"{who} told ${dollars:.9f}, and ${billed:.9f} was billed")
        usages = [ended.usage for ended in self.ended if ended.usage is not None]
        for name in ("prompt_tokens", "completion_tokens"):
            tokens, theirs = sum(getattr(usage, name) for usage in usages), getattr(simulator.ledger, name)
            if tokens < theirs:
                self.differences.append(f"events told {tokens:,} {name}, and {theirs:,} were billed")
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

    def _known(self) -> dict[str, Any]:
        """Usages that arrived, by the id of their answer."""
        known: dict[str, Any] = {}
        for ended in self.ended:
            for attempt in ended.billed_attempts:
                if attempt.usage.corrected is None:
                    known[_plain(attempt.response_id)] = attempt.usage
            if not ended.billed_attempts and ended.usage is not None and ended.response_id is not None:
                known[_plain(ended.response_id)] = ended.usage
        return known

    def _compare_usage(self, name: str, usage: Any, bill: Any) -> None:
        counted = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
        billed = None if bill is None else (bill.prompt_tokens, bill.cache_hit_tokens, bill.completion_tokens)
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
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    reconciliation = Reconciliation(options.seed, options.calls)
    asyncio.run(reconciliation.run())
    sys.stdout.write(f"{reconciliation.summary} ({time.monotonic() - began:.0f} s)\n")
    for difference in reconciliation.differences[:20]:
        sys.stdout.write(f"  {difference}\n")
    raise SystemExit(bool(reconciliation.differences))


if __name__ == "__main__":
    main()
