"""Why an account takes no more requests, and when it may be asked again. Pure: the time is an argument."""

from __future__ import annotations

import copy
from typing import Final, NoReturn

import msgspec

from deepseek_async.errors import APIError

FIRST_REST: Final = 5.0
"""Seconds for which a refused key is left alone: the 401 may have been a hiccup of the server's own."""

LONGEST_REST: Final = 300.0
"""Seconds; a key that stays refused is asked about at this distance."""


class Halt(msgspec.Struct):
    """What one call was told and what holds for others too: that the money is used up, or that the key is refused.

    Money holds for calls made before: somebody may have paid meanwhile. A refused key is left alone for seconds, and
    later for minutes; then one call asks again, while the others are still held back.
    """

    error: APIError
    at: float
    """When it was told."""
    rest: float | None = None
    """Seconds until one call may ask again; None where it is money that is wanting."""
    _until: float = 0.0

    def __post_init__(self) -> None:
        self._until = self.at + (self.rest or 0.0)

    def check(self, began: float, now: float) -> None:
        """Raise the error for a call that ``began`` then, unless it is to be sent."""
        if self.rest is None:
            if began <= self.at:
                self.stop()
        elif now < self._until:
            self.stop(self._until - now)
        else:
            # This one asks. Until it is known what comes of it, the others wait as long again.
            self._until = now + self.rest

    def stop(self, wait: float | None = None) -> NoReturn:
        """Raise the error for a call that is not sent; ``wait`` is until when it is of no use to try again."""
        error = copy.copy(self.error)
        if wait is not None:
            error.retry_after = wait
        raise error

    def after(self, error: APIError, now: float) -> Halt:
        """What holds when the key was refused in ``error`` too."""
        if self.rest is None:
            return Halt(error, now, FIRST_REST)
        if now - self.at < self.rest:
            return self  # it was sent before the first of them was answered
        return Halt(error, now, min(2 * self.rest, LONGEST_REST))
