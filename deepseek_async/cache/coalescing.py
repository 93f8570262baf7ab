"""Equal requests that are under way at the same time become one."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from deepseek_async.errors import DeepSeekError

T = TypeVar("T")


class Flights(Generic[T]):
    """The first caller for a key does the work, those who come meanwhile get its result or its error.

    A first caller that is cancelled hands the work on to the next one: giving up is its own affair.
    """

    def __init__(self) -> None:
        self._flights: dict[bytes, asyncio.Future[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: bytes, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The result of ``work``, and whether another caller did it."""
        while (flight := self._flights.get(key)) is not None:
            # Not awaited itself: cancelling one that waits must not cancel what the others wait for.
            await asyncio.wait([flight])
            if flight.cancelled():
                continue
            error = flight.exception()
            if error is None:
                return flight.result(), True
            # A copy, because each raise adds the raising task's frames to the traceback.
            raise copy.copy(error)
        return await self._lead(key, work), False

    async def _lead(self, key: bytes, work: Callable[[], Awaitable[T]]) -> T:
        flight: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            result = await work()
        except DeepSeekError as error:
            flight.set_exception(error)
            flight.exception()  # nobody may be waiting for it, and that is no fault to warn about
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(result)
            return result
        finally:
            del self._flights[key]
