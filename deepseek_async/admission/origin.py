"""The server behind an account's calls: whether it can be reached, which concerns all its models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.outage.breaker import Breaker

_log = logging.getLogger("deepseek_async")


def _nobody() -> None:
    """Nobody is told."""


class Origin:
    """Scheme, host and port, with the circuit breaker that counts only that it could not be reached."""

    __slots__ = ("address", "breaker", "ever_reached", "loop", "on_closed", "on_opened")

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop, breaker: Breaker | None) -> None:
        self.address: Final = address
        self.loop: Final = loop
        self.breaker: Final = breaker
        """None where breakers are switched off."""
        self.ever_reached = False
        """Whether it has ever answered. Bulk waits for an origin that is down, not for a wrong address."""
        self.on_opened: Callable[[], None] = _nobody
        self.on_closed: Callable[[], None] = _nobody
        """Told when the breaker opens and closes."""

    def reached(self, began: float, now: float) -> None:
        """It answered an attempt that ``began`` then, whatever it said."""
        self.ever_reached = True
        if self.breaker is not None and self.breaker.succeeded(began, now):
            _log.warning("%s can be reached again", self.address)
            self.on_closed()

    def failed(self, attempt: object, began: float, now: float, taken: int, *, alone: bool) -> None:
        """It could not be reached by ``attempt``."""
        breaker = self.breaker
        if breaker is not None and breaker.failed(attempt, began, now, taken, alone=alone):
            _log.warning("%s cannot be reached; next try in %.0f s", self.address, breaker.retry_after(now))
            self.on_opened()
