"""A number of slots, handed out first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final


class Slots:
    """At most ``size`` holders at a time. Waiters are served in order; a late one never overtakes.

    A waiter that is cancelled after a slot was given to it passes the slot on: losing it in that window is
    the usual leak of home-made semaphores.
    """

    __slots__ = ("_free", "_waiters", "size")

    def __init__(self, size: int) -> None:
        self.size: Final = size
        self._free = size
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def in_use(self) -> int:
        """Slots held now."""
        return self.size - self._free

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return len(self._waiters)

    def take_nowait(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._free > 0 and not self._waiters:
            self._free -= 1
            return True
        return False

    async def take(self) -> None:
        """Wait for a slot."""
        if self.take_nowait():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            else:
                with suppress(ValueError):  # give_back may have passed over it already
                    self._waiters.remove(turn)
            raise

    def give_back(self) -> None:
        """Return a slot: to the first waiter, else to the free ones."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
