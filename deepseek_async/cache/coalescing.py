"""Request coalescing: identical concurrent requests share one call."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from deepseek_async.errors import DeepSeekError

T = TypeVar("T")


class Flights(Generic[T]):
    """The first caller of a key does the work; concurrent callers share its result or error.

    If the first caller is cancelled, the next one takes over the work.
    """

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: bytes, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the result of ``work``, and whether another caller did it."""
        while (flight := self._flights.get(key)) is not None:
            # Waits on a shield: cancelling one waiter must not cancel the shared work.
            await asyncio.wait([flight])
            if flight.cancelled():
                continue
            error = flight.exception()
            if error is None:
                return flight.result(), True
            # A copy, because each raise appends frames of the raising task to the traceback.
            raise copy.copy(error)
        return await self._lead(key, work), False

    async def _lead(self, key: bytes, work: Callable[[], Awaitable[T]]) -> T:
        flight: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            result = await work()
        except DeepSeekError as error:
            flight.set_exception(error)
            flight.exception()  # marks the exception as retrieved if nobody waits
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(result)
            return result
        finally:
            del self._flights[key]
