"""Request and token rate limits per minute."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Final

from aiolimiter import AsyncLimiter

_MINUTE: Final = 60.0
_SHORTEST: Final = 0.01
"""Minimum bucket size in seconds of rate: timers have a resolution of about 1 ms, and a smaller bucket would fall short
of its rate."""

_SPARE_LIFE: Final = 1.0
"""Seconds for which an unused request permit can be passed to another call."""


def request_limiter(requests_per_minute: float) -> AsyncLimiter:
    """Return a limiter that spaces requests evenly.

    aiolimiter starts with a full bucket and admits twice the rate in its first period, so the bucket is as small
    as timers allow: one request up to 6,000 a minute, then 10 ms of rate.
    """
    burst = max(1, math.ceil(requests_per_minute / _MINUTE * _SHORTEST))
    return AsyncLimiter(burst, burst * _MINUTE / requests_per_minute)


class TokenBucket:
    """Token bucket with reservations: each caller learns when its tokens become available.

    FIFO regardless of size, whereas aiolimiter serves the smallest request first and starves large ones. A request
    larger than the bucket is not refused: it waits until the bucket is full, and the debt is paid off before the
    next one. Time is an argument.
    """

    __slots__ = ("_burst", "_paid_until", "_per_token")

    def __init__(self, tokens_per_minute: float) -> None:
        self._per_token = _MINUTE / tokens_per_minute
        # One second of rate may be used as a burst; the rest is spread evenly.
        self._burst = 1.0
        self._paid_until = -math.inf

    def reserve(self, tokens: float, now: float) -> float:
        """Take ``tokens`` and return the seconds to wait before using them."""
        start = max(self._paid_until, now - self._burst)
        self._paid_until = start + tokens * self._per_token
        # A request larger than the bucket may start when the bucket is full, that is, without debt.
        return max(0.0, min(self._paid_until, start + self._burst) - now)

    def settle(self, reserved: float, used: float) -> None:
        """Correct a reservation to the actual usage; 0 returns all of it."""
        self._paid_until += (used - reserved) * self._per_token


class RateLimits:
    """Request and token limits per minute, both optional."""

    __slots__ = ("_requests", "_spare", "_tokens")

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = request_limiter(requests_per_minute) if requests_per_minute else None
        self._tokens = TokenBucket(tokens_per_minute) if tokens_per_minute else None
        self._spare: deque[float] = deque()

    @property
    def counts_tokens(self) -> bool:
        """Whether a token estimate is required."""
        return self._tokens is not None

    async def wait(self, tokens: int, until: float | None = None) -> None:
        """Wait for one request and ``tokens`` tokens. On cancellation the tokens are returned.

        Raises TimeoutError at once if the tokens would only be available after ``until``, in loop time.
        """
        if self._tokens is None:
            await self._request()
            return
        now = asyncio.get_running_loop().time()
        delay = self._tokens.reserve(tokens, now)
        if until is not None and now + delay > until:
            self._tokens.settle(tokens, 0)
            raise TimeoutError
        try:
            if delay > 0:
                await asyncio.sleep(delay)
            await self._request()
        except BaseException:
            self._tokens.settle(tokens, 0)
            raise

    def settle(self, reserved: int, used: int) -> None:
        """Correct the token reservation to the actual usage."""
        if self._tokens is not None:
            self._tokens.settle(reserved, used)

    def cancel(self, reserved: int) -> None:
        """Return tokens and request of an attempt that was not sent."""
        self.settle(reserved, 0)
        if self._requests is not None:
            self._spare.append(asyncio.get_running_loop().time())

    async def _request(self) -> None:
        if self._requests is None:
            return
        # aiolimiter cannot return permits, so an unused one is kept for the next request; briefly, because many
        # would go out in one burst.
        stale = asyncio.get_running_loop().time() - _SPARE_LIFE
        while self._spare:
            if self._spare.popleft() > stale:
                return
        await self._requests.acquire()
