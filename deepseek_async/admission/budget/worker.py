"""Where one budget is kept: in memory, in a file or in Redis, used on a thread so that no event loop waits for it."""

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


class BudgetWorker:
    """The store of one budget, none in memory."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """``path``: as of Budget. Without one the budget moves to the Redis of the first client that names one."""
        self._is_free = path is None
        self._redis: tuple[str, str] | None = None
        self.path: Path | None = (
            None if path == IN_MEMORY else Path(path or state_folder() / "budget.sqlite").expanduser()
        )
        self.store: Store | None = None if self.path is None else FileStore(self.path)
        self._thread: ThreadPoolExecutor | None = None

    @property
    def is_used(self) -> bool:
        """Whether the store was asked for something since it was closed."""
        return self._thread is not None

    @property
    def hears_of_holders(self) -> bool:
        """See ``Store``."""
        return self.store is not None and self.store.hears_of_holders

    def share(self, url: str, account: str, *, cap: int, used: bool) -> None:
        """Keep the money of ``account`` in the Redis at ``url``, unless a path was given.

        ``used``: money was spent already. Raises ConfigurationError where that is a contradiction.
        """
        if not self._is_free or not is_redis(url):
            return
        from deepseek_async.admission.budget.store_redis import MOST, RedisStore  # noqa: PLC0415  only for who has one

        if self._redis is not None:
            self._refuse_another(url, account, *self._redis)
            return
        if used:
            raise ConfigurationError(
                f"this budget is kept in {self.path} already, and shared={place_of(url)!r} would begin it anew: make "
                "the client that names a Redis before the budget is used, or give this client a budget of its own"
            )
        if cap > MOST:
            raise ConfigurationError(f"a budget in Redis is ${MOST / 1e9:,.0f} a day at most, not ${cap / 1e9:,.0f}")
        self.path, self.store, self._redis = None, RedisStore(url, account), (url, account)

    async def on_thread(self, work: Callable[[], T]) -> T:
        """What ``work`` returns. Raises ConfigurationError when the store cannot be used."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "deepseek_async budget")
        # Shielded, because an allotment that is made must be known, and a store is used by one thread at a time.
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except (sqlite3.Error, OSError) as error:
            reason = reason_of(error)
        raise ConfigurationError(f"the budget in {self.path} cannot be used: {reason}")

    async def aclose(self) -> None:
        """Close the store, which may be used again."""
        if self._thread is not None:
            if self.store is not None:
                await self.on_thread(self.store.close)
            self._thread.shutdown()
            self._thread = None

    def begin_in_child(self) -> None:
        """The thread is the parent's; the store knows by itself."""
        self._thread = None

    @staticmethod
    def _refuse_another(url: str, account: str, known: str, its_account: str) -> None:
        if not same_redis(url, known):
            raise ConfigurationError(
                f"one budget cannot be kept in two places, {place_of(known)} and {place_of(url)}: name the same Redis "
                "in both clients, or give each a budget of its own"
            )
        if account != its_account:
            raise ConfigurationError(
                "a budget in Redis is one account's, and this one is used by clients of two: give each a Budget of "
                "its own, give both the same account=, or keep it in a file of this machine with Budget(path=…)"
            )
