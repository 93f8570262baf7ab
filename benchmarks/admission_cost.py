"""What admission, retry and lease add to a call that need not wait. ``python benchmarks/admission_cost.py``

Two figures, each the median of rounds on one core:

- an admission: the scope's doors and the lease that is served;
- a whole call: ``Call.answer`` over a transport that answers at once, less the same transport, watchdog, body and
  decoder without ``call/`` and ``admission/``.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from deepseek_async import RetryPolicy, Timeouts
from deepseek_async.admission import AccountLimiter, BreakerPolicy
from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.call.caller import Caller
from deepseek_async.codec.size_limits import MAX_BODY_BYTES
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import Answer

ROUNDS = 40
CALLS = 2000
MOST_OF_AN_ADMISSION = 5.0
MOST_OF_A_CALL = 15.0

BODY = b'{"id":"5f0c"}'
ANSWER = Answer()


class AtOnce:
    """A transport, and its own response, that answers without any wait."""

    status = 200
    headers: dict[str, str] = {}

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog) -> Any:  # noqa: ARG002
        return self

    async def read(self, limit: int) -> bytes:  # noqa: ARG002
        return BODY

    def release(self) -> None:
        pass

    def close(self) -> None:
        pass


def decode(body: bytes) -> Answer:  # noqa: ARG001
    return ANSWER


def opened() -> AccountLimiter:
    loop = asyncio.get_running_loop()
    return AccountLimiter(
        lambda _: AdaptiveLimit(cap=500, chance=lambda: 0.5, now=loop.time(), start=500),
        breaker=BreakerPolicy(),
    )


async def admissions() -> None:
    limiter = opened().limiter("deepseek-flash")
    for _ in range(CALLS):
        lease = limiter.admit_nowait(0, bulk=False)
        assert lease is not None
        lease.admitted()
        lease.served(None)


async def whole_calls() -> None:
    caller = Caller(AtOnce(), opened())
    outgoing, retry, timeouts = HTTPRequest("POST", "/chat/completions", BODY), RetryPolicy(), Timeouts()
    for _ in range(CALLS):
        await caller.call(outgoing, retry=retry, timeouts=timeouts, model="deepseek-flash").answer(decode)


async def bare_calls() -> None:
    transport, loop = AtOnce(), asyncio.get_running_loop()
    outgoing, timeouts = HTTPRequest("POST", "/chat/completions", BODY), Timeouts()
    for _ in range(CALLS):
        watchdog = Watchdog(timeouts, loop)
        response = await transport.send(outgoing, watchdog)
        watchdog.head_arrived(streaming=False)
        decode((await response.read(MAX_BODY_BYTES)).strip())
        response.release()


def microseconds(work: Callable[[], Awaitable[None]]) -> float:
    """CPU time of one of the ``CALLS`` in ``work``."""
    rounds = []
    for _ in range(ROUNDS):
        with asyncio.Runner() as runner:

            async def timed() -> float:
                began = time.process_time()
                await work()
                return time.process_time() - began

            rounds.append(runner.run(timed()) / CALLS * 1e6)
    return statistics.median(rounds)


def main() -> int:
    admission = microseconds(admissions)
    call = microseconds(whole_calls) - microseconds(bare_calls)
    print(f"an admission that need not wait: {admission:.2f} µs (at most {MOST_OF_AN_ADMISSION:.0f})")
    print(f"admission, retry and lease of a call: {call:.2f} µs (at most {MOST_OF_A_CALL:.0f})")
    return int(admission > MOST_OF_AN_ADMISSION or call > MOST_OF_A_CALL)


if __name__ == "__main__":
    raise SystemExit(main())
