"""One attempt at a time asks whether the server takes any again, while what is in flight ends."""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency_limit import Attempt

_GAPS: Final = (0.25, 2.0)
"""Seconds before the next attempt asks: doubling from one to the other."""


class RecoveryProbe:
    """The state of asking. ``due`` is when time alone changes it next: a gap is over, or an answer is overdue."""

    __slots__ = ("_gap", "due", "fewest", "permits", "probe")

    def __init__(self) -> None:
        self.probe: Attempt | None = None
        """The attempt that asks now."""
        self.permits = False
        """Whether an attempt may be sent to ask."""
        self.fewest = 0
        """The fewest in flight, the refused one included, when one was refused."""
        self.due = math.inf
        self._gap = _GAPS[0]

    def begin(self, now: float, in_flight: int, round_trip: float) -> None:
        """Nothing may be sent until the answers that are on the way have come."""
        self.probe = None
        self.permits = False
        self.fewest = in_flight + 1
        self._gap = min(max(_GAPS[0], round_trip), _GAPS[1])
        self.due = now + self._gap

    def permit(self) -> None:
        """The gap is over."""
        self.permits = True
        self.due = math.inf

    def sent(self, attempt: Attempt, *, answer_by: float) -> None:
        """This attempt asks."""
        self.probe = attempt
        self.permits = False
        self.due = answer_by

    def refused(self, in_flight: int) -> None:
        """An attempt was refused, the one that asks or an earlier one."""
        self.fewest = min(self.fewest, in_flight + 1)

    def over(self, attempt: Attempt, now: float) -> None:
        """An attempt has ended; if it was the one that asks, it was not taken."""
        if attempt is self.probe:
            self.probe = None
            self._gap = min(_GAPS[1], self._gap * 2)
            self.due = now + self._gap
