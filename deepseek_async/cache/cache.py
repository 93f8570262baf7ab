"""The tiers as one: look in memory, then on disk, then in Redis; what is found further away is kept nearer."""

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
from deepseek_async.types.operation import Operation

MIB: Final = 1024 * 1024
DAY: Final = 86_400.0


class CacheHit(msgspec.Struct, frozen=True, gc=False):
    """A stored answer, and how far it may be believed."""

    body: bytes
    tier: str
    """memory, disk or redis."""
    fresh: bool
    """Whether it is younger than the cache's ``ttl``; a stale one only replaces an error."""


class Cache(AtFork):
    """Answers to requests that were asked before. One cache may serve several clients of one event loop.

    - ``path``: an SQLite file that outlives the process; None keeps answers in memory only.
    - ``redis``: URL of a Redis that machines share, with the extra ``redis``.
    - ``ttl``: seconds for which an answer is served; a day by default.
    - ``stale_if_error``: seconds beyond the ttl for which an answer still replaces an error while the API
      cannot be reached; 0 (default) for never.
    - ``memory_bytes``, ``disk_bytes``: 64 MiB and 1 GiB by default; the least recently used is dropped.
    - ``only_deterministic``: whether only requests with ``temperature=0`` and thinking disabled, and embeddings, are
      stored (the default). Other requests ask for a new answer each time, and would get one old one.

    Raises ConfigurationError for values that make no sense. Never raises later: a cache that fails is left
    alone, and calls go on without it.
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
            if not value >= least:  # NaN, which compares to nothing, is refused too
                raise ConfigurationError(f"cache.{name} must be at least {least:,}, not {value!r}")
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
        """Equal requests under way on the running event loop."""
        register(self)

    def __repr__(self) -> str:
        where = [
            "memory",
            *([] if self._disk is None else [str(self._disk.path)]),
            *(["redis"] if self._redis_url else []),
        ]
        return f"<Cache in {', '.join(where)}, ttl {self.ttl:g} s>"

    def serves(self, request: Mapping[str, Any], operation: Operation) -> bool:
        """Whether the answer to ``request`` is stored and served again.

        Only texts and vectors are: the addresses of pictures expire, and what is there changes.
        """
        if operation.output not in {"text", "vectors"}:
            return False
        return not self.only_deterministic or is_deterministic(request, operation)

    async def find(self, key: bytes) -> CacheHit | None:
        """The answer stored under ``key``, fresh if any tier has a fresh one."""
        now = self._clock()
        entry = self._memory.get(key)
        if entry is not None and now - entry.stored < self.ttl:
            return CacheHit(entry.body, "memory", fresh=True)
        best, tier = entry, "memory"
        if self._disk is not None:
            best, tier = _newer(best, tier, self._disk.get(key), "disk")
        if self._redis_url is not None and not self._is_fresh(best, now):
            best, tier = _newer(best, tier, await self._remote(self._redis_url).get(key), "redis")
        # The clock may have been set back since: an answer from the future is no older than ours.
        if best is None or now - best.stored >= self._keep:
            return None
        if tier != "memory":
            self._memory.put(key, best)
        return CacheHit(best.body, tier, fresh=self._is_fresh(best, now))

    def keep(self, key: bytes, body: bytes) -> None:
        """Store an answer in every tier; disk and Redis get it in the background."""
        entry = Entry(body, self._clock())
        self._memory.put(key, entry)
        if self._disk is not None:
            self._disk.put(key, entry)
        if self._redis_url is not None:
            self._remote(self._redis_url).put(key, entry)

    async def clear(self) -> None:
        """Forget every answer, in every tier. Raises OSError if the file keeps some, and redis-py's errors."""
        self._memory.clear()
        try:
            if self._disk is not None:
                await asyncio.to_thread(self._disk.clear)
        finally:
            if self._redis_url is not None:
                await self._remote(self._redis_url).clear()

    def stored(self) -> Stored | None:
        """What the file holds; None without a file, or while it cannot be read."""
        return None if self._disk is None else self._disk.stored()

    async def aclose(self) -> None:
        """Write what is waiting and close file and connections. The cache may be used again afterwards."""
        redis, self._redis = self._redis, None
        if redis is not None and self._loop is asyncio.get_running_loop():
            await redis.aclose()
        if self._disk is not None:
            await asyncio.to_thread(self._disk.close)

    def after_fork_in_child(self) -> None:
        """Wait for no request of the parent's, and send nothing over its connections to Redis."""
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
