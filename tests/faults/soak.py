"""Storms of calls that are answered, refused, broken, cancelled, left and dropped; afterwards nothing may be held.

    python tests/faults/soak.py --seeds 50 --seconds 12

Every seed is a fresh simulator with a hidden limit and random faults, and a fresh client. After its storm the places
in flight, the queue, the interactive share, the money that was held, and the connections at the server are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from deepseek_async import AsyncDeepSeek, Budget, DeepSeekError, RetryPolicy, Timeouts
from deepseek_async.simulator import Fault, FaultKind, Simulator, SimulatorSettings
from deepseek_async.simulator.faults import OF_UPLOADS

TIMEOUTS = Timeouts(connect=2, headers=0.5, first_content=0.5, idle=0.3, stall=0.3, attempt=3, total=4)
ENDLESS = (FaultKind.STALL, FaultKind.KEEP_ALIVES_FOR_EVER, FaultKind.KEEP_ALIVES_AFTER_CONTENT)
ACCOUNT = {FaultKind.WRONG_KEY, FaultKind.MISSING_AUTHORIZATION, FaultKind.INSUFFICIENT_BALANCE}
"""Faults after which an account is left alone: nothing would be left to soak."""
PAUSES = {kind for kind in FaultKind if kind.value.startswith("rate_limit_")} | {FaultKind.OVERLOADED}
"""Faults after which a whole model pauses for up to a minute."""
CALLERS = 24
PATIENCE = 60.0
"""Seconds after which something that is still held is held for good: far above every timer."""

Ask = Callable[[], Awaitable[Any]]


class Storm:
    """One seed: some callers do something at random again and again, until the time is over."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.seed = seed
        self._seconds = seconds
        self._chance = random.Random(seed)
        self.calls = 0
        self._garbage: list[Any] = []

    async def run(self) -> dict[str, int]:
        """What was still held afterwards, by name."""
        chance = self._chance
        kinds = tuple(kind for kind in FaultKind if kind not in {*ENDLESS, *ACCOUNT, *PAUSES, *OF_UPLOADS})
        settings = SimulatorSettings(
            seed=self.seed,
            concurrency_limit=chance.choice((None, 3, 20)),
            fault_rate=chance.choice((0.0, 0.05, 0.15)),
            fault_kinds=kinds,
            tokens_per_second=chance.choice((0.0, 2000.0)),
            keep_alive_interval=0.02,
        )
        budget = Budget(1000.0, path=":memory:")
        async with Simulator(settings) as simulator:
            client = AsyncDeepSeek(
                api_key="sk-soak-0123456789abcdef",
                base_url=simulator.base_url,
                max_concurrency=chance.choice((None, 2, 10)),
                tokens_per_minute=chance.choice((None, 10**9)),
                retry=RetryPolicy(max_attempts=3, base_delay=0.001, max_delay=0.01),
                timeout=TIMEOUTS,
                budget=budget,
                cache=chance.choice((None, True)),
                breaker=None,
            )
            async with client:
                until = asyncio.get_running_loop().time() + self._seconds
                collecting = asyncio.ensure_future(self._collect())
                await asyncio.gather(*(self._caller(simulator, client, until) for _ in range(CALLERS)))
                collecting.cancel()
                self._garbage.clear()
                gc.collect()
                return await self._held(simulator, client, budget)

    async def _collect(self) -> None:
        """While every caller waits for places that garbage holds, nothing else would bring the collector."""
        while True:
            await asyncio.sleep(0.01)
            self._garbage.clear()
            gc.collect()

    async def _caller(self, simulator: Simulator, client: AsyncDeepSeek, until: float) -> None:
        chance = self._chance
        while asyncio.get_running_loop().time() < until:
            if chance.random() < 0.02:
                simulator.script(Fault(chance.choice(ENDLESS), seconds=2.0))
            self.calls += 1
            call = asyncio.ensure_future(self._action()(client))
            if chance.random() < 0.4:
                for _ in range(chance.randrange(60)):
                    await asyncio.sleep(0)
                call.cancel()
            try:
                await call
            except DeepSeekError:
                pass
            except asyncio.CancelledError:
                if not call.cancelled():
                    raise

    def _action(self) -> Callable[[AsyncDeepSeek], Awaitable[None]]:
        return self._chance.choice(
            (self.plain, self.whole, self.left, self.dropped, self.pieces, self.closed, self.bulk)
        )

    def _asked(self) -> dict[str, Any]:
        question = f"Question {self._chance.randrange(50)}"
        return {"model": "deepseek-flash", "messages": [{"role": "user", "content": question}], "max_tokens": 200}

    async def plain(self, client: AsyncDeepSeek) -> None:
        await client.chat.completions.create(**self._asked())

    async def whole(self, client: AsyncDeepSeek) -> None:
        async with await client.chat.completions.create(**self._asked(), stream=True) as stream:
            async for _ in stream:
                pass

    async def left(self, client: AsyncDeepSeek) -> None:
        stream = await client.chat.completions.create(**self._asked(), stream=True)
        async for _ in stream:
            break

    async def dropped(self, client: AsyncDeepSeek) -> None:
        """Garbage that only the collector finds, at whatever moment it runs."""
        stream = await client.chat.completions.create(**self._asked(), stream=True)
        circle: list[Any] = [stream]
        circle.append(circle)
        self._garbage[:] = circle if self._chance.random() < 0.1 else ()

    async def pieces(self, client: AsyncDeepSeek) -> None:
        stream = await client.chat.completions.create(**self._asked(), stream=True)
        pieces = self._chance.choice((stream.text_deltas, stream.events, stream.reasoning_deltas))()
        with suppress(StopAsyncIteration):
            await anext(pieces)
            if self._chance.random() < 0.5:
                await pieces.aclose()

    async def closed(self, client: AsyncDeepSeek) -> None:
        """One task reads the stream while another one closes it."""
        stream = await client.chat.completions.create(**self._asked(), stream=True)

        async def read() -> None:
            async for _ in stream:
                pass

        reading = asyncio.ensure_future(read())
        try:
            for _ in range(self._chance.randrange(30)):
                await asyncio.sleep(0)
            await stream.aclose()
        finally:
            await asyncio.gather(reading, return_exceptions=True)

    async def bulk(self, client: AsyncDeepSeek) -> None:
        most = self._chance.randrange(1, 12)
        results = client.batch.map([f"Row {row}" for row in range(10)], model="deepseek-flash", max_tokens=100)
        async for _ in results:
            most -= 1
            if not most:
                break

    async def _held(self, simulator: Simulator, client: AsyncDeepSeek, budget: Budget) -> dict[str, int]:
        def held() -> dict[str, int]:
            account_limiter = client._context.caller().account_limiter
            return {
                "in flight": account_limiter.in_flight,
                "waiting": account_limiter.waiting,
                "waiting for credit": sum(not limiter.idle for limiter in account_limiter.limiters),
                "interactive": sum(limiter.queue._interactive_running for limiter in account_limiter.limiters),
                "money held": budget._ledger.reserved,
                "at the server": simulator.statistics().in_flight,
                "tasks": sum(_is_the_clients(task) for task in asyncio.all_tasks()),
            }

        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(held().values()):  # noqa: ASYNC110  no event tells when the last of it is gone
                    await asyncio.sleep(0.01)
        return {name: count for name, count in held().items() if count}


def _is_the_clients(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "ag_code", None)
    file = "" if code is None else str(code.co_filename)
    return "deepseek_async/" in file and "simulator" not in file


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=12.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    logging.disable(logging.CRITICAL)  # the simulator logs everybody who leaves
    held_by: dict[int, dict[str, int]] = {}
    calls = 0
    for seed in range(options.seeds):
        storm = Storm(seed, options.seconds)
        held = asyncio.run(storm.run())
        calls += storm.calls
        if held:
            held_by[seed] = held
        sys.stdout.write(f"seed {seed}: {storm.calls:,} calls; held afterwards: {held or 'nothing'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{options.seeds} seeds, {calls:,} calls, {len(held_by)} seeds with something held\n")
    raise SystemExit(bool(held_by))


if __name__ == "__main__":
    main()
