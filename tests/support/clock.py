"""A clock that a test sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970, or since anything: read by a call or ``time()``, and moved by ``now`` or by who sleeps."""

    def __init__(self, now: float | str = 0.0) -> None:
        """``now`` may be a day and an hour as ISO 8601 writes them, in UTC."""
        self.now = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp() if isinstance(now, str) else now
        self.slept = 0.0
        """Seconds that passed while somebody slept."""
        self.sleeping = asyncio.Event()
        """Set when somebody sleeps."""
        self.frozen = False
        """Whether sleeping never ends."""

    def __call__(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeping.set()
        if self.frozen:
            await asyncio.Event().wait()
        self.slept += seconds
        self.now += seconds
        await asyncio.sleep(0)

    def hour(self) -> str:
        """The time of day in UTC."""
        return datetime.fromtimestamp(self.now, UTC).strftime("%H:%M")
