"""Budget store access on a worker thread, so that no event loop blocks; the store is a file, a Redis, or none."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from deepseek_async.admission.budget.store import Store
from deepseek_async.admission.budget.store_file import FileStore
from deepseek_async.configuration.redis_url import is_redis, place_of, same_redis
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import reason_of, state_folder

T = TypeVar("T")

IN_MEMORY: Final = ":memory:"


class StoreThread:
    """Store of one budget; None in memory."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """``path``: as in Budget. Without one the budget moves to the Redis of the first client that names one."""
        self._is_free = path is None
        self._redis: tuple[str, str] | None = None
        self.path: Path | None = (
            None if path == IN_MEMORY else Path(path or state_folder() / "budget.sqlite").expanduser()
        )
        self.store: Store | None = None if self.path is None else FileStore(self.path)
        self._thread: ThreadPoolExecutor | None = None

    @property
    def is_used(self) -> bool:
        """Whether the store was used since it was last closed."""
        return self._thread is not None

    @property
    def hears_of_holders(self) -> bool:
        """See ``Store``."""
        return self.store is not None and self.store.hears_of_holders

    def share(self, url: str, account: str, *, cap: int, used: bool) -> None:
        """Keep the budget of ``account`` in the Redis at ``url``, unless a path was given.

        ``used``: money was already spent. Raises ConfigurationError if that is a conflict.
        """
        if not self._is_free or not is_redis(url):
            return
        from deepseek_async.admission.budget.store_redis import MOST, RedisStore  # noqa: PLC0415  optional

        if self._redis is not None:
            self._refuse_another(url, account, *self._redis)
            return
        if used:
            raise ConfigurationError(
                f"this budget already uses {self.path}, and shared={place_of(url)!r} would reset it: create the client "
                "that names a Redis before the budget is used, or give this client its own budget"
            )
        if cap > MOST:
            raise ConfigurationError(
                f"a budget in Redis must be at most ${MOST / 1e9:,.0f} per day, got ${cap / 1e9:,.0f}"
            )
        self.path, self.store, self._redis = None, RedisStore(url, account), (url, account)

    async def on_thread(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``. Raises ConfigurationError if the store is unavailable."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "deepseek_async budget")
        # Shielded: an allotment that was made must be recorded, and only one thread may use a store at a time.
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except (sqlite3.Error, OSError) as error:
            reason = reason_of(error)
        raise ConfigurationError(f"cannot use the budget in {self.path}: {reason}")

    async def aclose(self) -> None:
        """Close the store; it can be used again."""
        if self._thread is not None:
            if self.store is not None:
                await self.on_thread(self.store.close)
            self._thread.shutdown()
            self._thread = None

    def begin_in_child(self) -> None:
        """Drop the parent's thread; the store has its own fork hooks."""
        self._thread = None

    @staticmethod
    def _refuse_another(url: str, account: str, known: str, its_account: str) -> None:
        if not same_redis(url, known):
            raise ConfigurationError(
                f"one budget cannot use two Redis databases, {place_of(known)} and {place_of(url)}: name the same one "
                "in both clients, or give each client its own budget"
            )
        if account != its_account:
            raise ConfigurationError(
                "a budget in Redis belongs to one account, but clients of two accounts use it: give each its own "
                "Budget, give both the same account=, or use a local file with Budget(path=…)"
            )
