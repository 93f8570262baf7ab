"""Recovery probe: one attempt at a time tests whether the server accepts again, while the others finish."""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency_limit import Attempt

_GAPS: Final = (0.25, 2.0)
"""Seconds before the next probe: doubling from the first to the second value."""


class RecoveryProbe:
    """State of the probe. ``due`` is the next time-based change: end of a gap, or an overdue answer."""

    __slots__ = ("_gap", "due", "fewest", "permits", "probe")

    def __init__(self) -> None:
        self.probe: Attempt | None = None
        """The attempt that probes now."""
        self.permits = False
        """Whether a probe may be sent."""
        self.fewest = 0
        """Minimum number in flight at a refusal, the refused attempt included."""
        self.due = math.inf
        self._gap = _GAPS[0]

    def begin(self, now: float, in_flight: int, round_trip: float) -> None:
        """Send nothing until the outstanding answers have arrived."""
        self.probe = None
        self.permits = False
        self.fewest = in_flight + 1
        self._gap = min(max(_GAPS[0], round_trip), _GAPS[1])
        self.due = now + self._gap

    def permit(self) -> None:
        """Permit a probe after the gap."""
        self.permits = True
        self.due = math.inf

    def sent(self, attempt: Attempt, *, answer_by: float) -> None:
        """Record the probe."""
        self.probe = attempt
        self.permits = False
        self.due = answer_by

    def refused(self, in_flight: int) -> None:
        """Record a refusal, of the probe or an earlier attempt."""
        self.fewest = min(self.fewest, in_flight + 1)

    def over(self, attempt: Attempt, now: float) -> None:
        """Record the end of an attempt; if it was the probe, it was not accepted."""
        if attempt is self.probe:
            self.probe = None
            self._gap = min(_GAPS[1], self._gap * 2)
            self.due = now + self._gap
