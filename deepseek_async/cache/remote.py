"""Redis tier of the cache, shared by machines. Delays a call by at most 50 ms."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

from deepseek_async.cache.bypass import SLOW, Bypass
from deepseek_async.cache.entry import Entry, unpacked
from deepseek_async.configuration.redis_url import reason_of_redis

_LOG: Final = logging.getLogger("deepseek_async")

_PREFIX: Final = b"deepseek-async:1:"
_CONNECTIONS: Final = 32
_PENDING: Final = 256
"""Writes in progress; answers above the limit are not stored."""


class RedisTier:
    """Answers under ``deepseek-async:1:…`` keys, which Redis expires. Bound to the running event loop."""

    def __init__(self, url: str, *, keep_seconds: float) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415  optional
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=SLOW,
            socket_timeout=SLOW,
            socket_connect_timeout=SLOW,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._keep_seconds = max(1, int(keep_seconds))
        self._bypass = Bypass()
        self._loop = asyncio.get_running_loop()
        self._puts: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key``; None also while the tier is bypassed."""
        record = await self._within_time(self._redis.get(_PREFIX + key)) if self._usable() else None
        return unpacked(key, record) if isinstance(record, bytes) else None

    def put(self, key: bytes, entry: Entry) -> None:
        """Store ``entry`` in the background."""
        if self._usable() and len(self._puts) < _PENDING:
            task = asyncio.ensure_future(self._put(key, entry))
            self._puts.add(task)
            task.add_done_callback(self._puts.discard)

    async def clear(self) -> None:
        """Delete all answers of this library. Raises RedisError."""
        await asyncio.gather(*self._puts, return_exceptions=True)
        async for name in self._redis.scan_iter(match=_PREFIX + b"*", count=1000):
            await self._redis.unlink(name)

    async def aclose(self) -> None:
        """Finish the writes in progress, within a bounded time, and close the connections."""
        await asyncio.gather(*self._puts, return_exceptions=True)
        await self._redis.aclose()

    def _usable(self) -> bool:
        return not self._bypass.active(self._loop.time())

    async def _put(self, key: bytes, entry: Entry) -> None:
        await self._within_time(self._redis.set(_PREFIX + key, entry.packed(key), ex=self._keep_seconds))

    async def _within_time(self, request: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(SLOW):
                answer = await request
        except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
            if self._bypass.begin(self._loop.time()):
                _LOG.warning("Redis cache bypassed for a while: %s", reason_of_redis(error))
            return None
        self._bypass.end()
        return answer
