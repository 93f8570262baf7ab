"""How long attempts take, and how many slots that leaves empty at the server.

A slot stays empty while the answer travels back and its replacement travels out. So a server with a limit of 500 sees
about 487 of 500 attempts in flight, if an attempt takes 12 s and a round trip 0.3 s.
"""

from __future__ import annotations

import math
from typing import Final

_FIRST_GUESS: Final = 0.3
"""Seconds of a round trip before the first refusal; users report 0.3 s for a 429 of DeepSeek."""
_LONGEST: Final = 5.0
"""A refusal that took longer waited somewhere, and says nothing about the way."""
_SHORTEST_GRACE: Final = 1.0
_MEMORY: Final = 500
"""Attempts over which durations are averaged. They spread widely (p99 is 7 times the median), so fewer mislead."""
_SPAN: Final = 5.0
"""Seconds over which the flow is measured, at least."""
_SAFETY: Final = 2.2
"""Standard deviations by which the slots on the way may fall short of their mean. At 2.2 one attempt in about 300 meets
a full server; at 3 the window leaves 0.4 % more of the limit unused (benchmarks/simulation)."""


class Travel:
    """Round trip, duration and flow of the attempts of one window. Seconds."""

    __slots__ = ("_flow", "_measured_at", "_measured_ends", "ends", "grace", "held", "round_trip")

    def __init__(self, now: float) -> None:
        self.round_trip = _FIRST_GUESS
        self.grace = _SHORTEST_GRACE
        """After that long without a refusal, an attempt has been taken even if nothing was heard of it."""
        self.held = 0.0
        """Mean time that a taken attempt keeps its slot; 0 before the first one has ended."""
        self.ends = 0
        """Taken attempts that have ended."""
        self._flow = 0.0
        self._measured_at = now
        self._measured_ends = 0

    def refused_after(self, seconds: float) -> None:
        """A refusal came that long after its attempt was sent."""
        self.round_trip += (min(seconds, _LONGEST) - self.round_trip) / 8
        self.grace = max(_SHORTEST_GRACE, 3 * self.round_trip)

    def ended_after(self, seconds: float) -> None:
        """A taken attempt ended that long after it was sent."""
        self.ends = ends = self.ends + 1
        self.held += (seconds - self.held) / (min(_MEMORY, ends))

    def measure_flow(self, now: float) -> None:
        """Bring the flow up to date. To be called now and then, more often than every few seconds if possible."""
        span = now - self._measured_at
        if span >= _SPAN:
            self._flow = (self.ends - self._measured_ends) / span
            self._measured_at = now
            self._measured_ends = self.ends

    def on_the_way(self, slots: float) -> float:
        """The mean number of slots, of that many, that are empty at the server.

        The smaller of two estimates, by duration and by flow, because each is too high at times: short answers end
        first, so durations are underestimated after a start; and after a fall of the limit the flow is still the old.
        """
        return min(slots / self.held, self._flow) * self.round_trip if self.held > 0 else 0.0

    def spare(self, slots: int) -> int:
        """How many attempts more than ``slots`` may be in flight, and hardly ever meet a full server.

        Those on the way are a Poisson number, so this is its mean less a few standard deviations.
        """
        mean = self.on_the_way(slots)
        return max(0, int(mean - _SAFETY * math.sqrt(mean)))
