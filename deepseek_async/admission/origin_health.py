"""Origin of an account's calls: its reachability, which affects all its models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.outage.breaker import Breaker

_log = logging.getLogger("deepseek_async")


def _nobody() -> None:
    """Default callback without effect."""


class OriginHealth:
    """Scheme, host and port, with a circuit breaker that counts only connection failures."""

    __slots__ = ("address", "breaker", "ever_reached", "loop", "on_closed", "on_opened")

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop, breaker: Breaker | None) -> None:
        self.address: Final = address
        self.loop: Final = loop
        self.breaker: Final = breaker
        """None if circuit breakers are disabled."""
        self.ever_reached = False
        """Whether it has ever responded. Batch work waits for an origin that is down, but not for a wrong address."""
        self.on_opened: Callable[[], None] = _nobody
        self.on_closed: Callable[[], None] = _nobody
        """Called when the breaker opens and when it closes."""

    def reached(self, began: float, now: float) -> None:
        """Record any response to an attempt that started at ``began``."""
        self.ever_reached = True
        if self.breaker is not None and self.breaker.succeeded(began, now):
            _log.warning("circuit breaker closed for %s: reachable again", self.address)
            self.on_closed()

    def failed(self, attempt: object, began: float, now: float, taken: int, *, alone: bool) -> None:
        """Record that ``attempt`` could not reach the origin."""
        breaker = self.breaker
        if breaker is not None and breaker.failed(attempt, began, now, taken, alone=alone):
            _log.warning(
                "circuit breaker opened for %s: unreachable, next probe in %.0f s",
                self.address,
                breaker.retry_after(now),
            )
            self.on_opened()
