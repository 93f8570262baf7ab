"""Tiered cache: looks in memory, then on disk, then in Redis, and copies hits to the nearer tiers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.cache.coalescing import Flights
from deepseek_async.cache.database import Stored
from deepseek_async.cache.disk import DiskTier
from deepseek_async.cache.entry import Entry
from deepseek_async.cache.key import is_deterministic
from deepseek_async.cache.memory import MemoryTier
from deepseek_async.cache.remote import RedisTier
from deepseek_async.configuration.credential import hidden
from deepseek_async.configuration.redis_url import checked_redis
from deepseek_async.errors import ConfigurationError
from deepseek_async.process.forks import AtFork, leave, register
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.types.operation import Operation

MIB: Final = 1024 * 1024
DAY: Final = 86_400.0


class CacheHit(msgspec.Struct, frozen=True, gc=False):
    """A cached answer and its freshness."""

    body: bytes
    tier: str
    """memory, disk or redis."""
    fresh: bool
    """Whether it is younger than ``ttl``; a stale answer is only served instead of an error."""


class Cache(AtFork):
    """Answer cache. One cache may serve several clients of one event loop.

    - ``path``: an SQLite file that persists across processes; None keeps answers in memory only.
    - ``redis``: URL of a Redis shared by machines; requires the extra ``redis``.
    - ``ttl``: seconds for which an answer is fresh; a day by default.
    - ``stale_if_error``: seconds beyond the ttl in which an answer may replace an error while the API is
      unreachable; 0 (default) disables this.
    - ``memory_bytes``, ``disk_bytes``: 64 MiB and 1 GiB by default; evicts the least recently used answers.
    - ``only_deterministic``: whether to cache only embeddings and requests with ``temperature=0`` and thinking
      disabled (the default). Other requests expect a new answer each time.

    Raises ConfigurationError for invalid values. Never raises later: a failing cache is bypassed, and calls
    continue without it.
    """

    def __init__(
        self,
        *,
        path: str | os.PathLike[str] | None = None,
        redis: str | None = None,
        ttl: float = DAY,
        stale_if_error: float = 0.0,
        memory_bytes: int = 64 * MIB,
        disk_bytes: int = 1024 * MIB,
        only_deterministic: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for name, value, least in (
            ("ttl", ttl, 0.001),
            ("stale_if_error", stale_if_error, 0),
            ("memory_bytes", memory_bytes, 0),
            ("disk_bytes", disk_bytes, MIB),
        ):
            if not value >= least:  # also rejects NaN
                raise ConfigurationError(f"cache.{name} must be at least {least:,}, got {value!r}")
        redis = None if redis is None else checked_redis("cache.redis", hidden(redis))
        self.ttl = ttl
        self.stale_if_error = stale_if_error
        self.only_deterministic = only_deterministic
        self._clock = clock
        self._keep = ttl + stale_if_error
        self._memory = MemoryTier(memory_bytes)
        self._disk = (
            None
            if path is None
            else DiskTier(Path(path).expanduser(), max_bytes=disk_bytes, keep_seconds=self._keep, clock=clock)
        )
        self._redis_url = redis
        self._redis: RedisTier | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.flights: Flights[bytes] = Flights()
        """Identical requests in flight on the running event loop."""
        register(self)

    def __repr__(self) -> str:
        where = [
            "memory",
            *([] if self._disk is None else [str(self._disk.path)]),
            *(["redis"] if self._redis_url else []),
        ]
        return f"<Cache in {', '.join(where)}, ttl {self.ttl:g} s>"

    def serves(self, request: Mapping[str, Any], operation: Operation) -> bool:
        """Internal: whether the answer to ``request`` may be cached.

        Only texts and vectors are: URLs of images expire, and listings change.
        """
        if operation.output not in {"text", "vectors"}:
            return False
        return not self.only_deterministic or is_deterministic(request, operation)

    async def find(self, key: bytes) -> CacheHit | None:
        """Internal: return the answer under ``key``, a fresh one if any tier has it."""
        now = self._clock()
        entry = self._memory.get(key)
        if entry is not None and now - entry.stored < self.ttl:
            return CacheHit(entry.body, "memory", fresh=True)
        best, tier = entry, "memory"
        if self._disk is not None:
            best, tier = _newer(best, tier, self._disk.get(key), "disk")
        if self._redis_url is not None and not self._is_fresh(best, now):
            best, tier = _newer(best, tier, await self._remote(self._redis_url).get(key), "redis")
        # The clock may have been set back: treat an answer from the future as new.
        if best is None or now - best.stored >= self._keep:
            return None
        if tier != "memory":
            self._memory.put(key, best)
        return CacheHit(best.body, tier, fresh=self._is_fresh(best, now))

    def keep(self, key: bytes, body: bytes) -> None:
        """Internal: store an answer in every tier; disk and Redis are written in the background."""
        entry = Entry(body, self._clock())
        self._memory.put(key, entry)
        if self._disk is not None:
            self._disk.put(key, entry)
        if self._redis_url is not None:
            self._remote(self._redis_url).put(key, entry)

    async def clear(self) -> None:
        """Delete all answers in all tiers. Raises OSError if the file keeps some, and redis-py errors."""
        self._memory.clear()
        try:
            if self._disk is not None:
                await FILE_THREADS.run(self._disk.clear)
        finally:
            if self._redis_url is not None:
                await self._remote(self._redis_url).clear()

    def stored(self) -> Stored | None:
        """Return the contents of the file as figures; None without a file or while it is unreadable."""
        return None if self._disk is None else self._disk.stored()

    async def aclose(self) -> None:
        """Write pending answers and close file and connections. The cache can be used again afterwards."""
        redis, self._redis = self._redis, None
        if redis is not None and self._loop is asyncio.get_running_loop():
            await redis.aclose()
        if self._disk is not None:
            await FILE_THREADS.run(self._disk.close)

    def after_fork_in_child(self) -> None:
        """Internal: drop the parent's requests in flight and its Redis connections."""
        leave((self._redis, self.flights))
        self._redis = self._loop = None
        self.flights = Flights()

    def _is_fresh(self, entry: Entry | None, now: float) -> bool:
        return entry is not None and now - entry.stored < self.ttl

    def _remote(self, url: str) -> RedisTier:
        loop = asyncio.get_running_loop()
        if self._redis is None or self._loop is not loop:
            self._loop = loop
            self._redis = RedisTier(url, keep_seconds=self._keep)
        return self._redis


def _newer(first: Entry | None, first_tier: str, second: Entry | None, second_tier: str) -> tuple[Entry | None, str]:
    if second is None or (first is not None and first.stored >= second.stored):
        return first, first_tier
    return second, second_tier
