"""Durations of attempts, and the number of slots that they leave empty at the server.

A slot stays empty while the answer and its replacement are in transit. So a server with a limit of 500 sees about 487
of 500 attempts in flight, if an attempt takes 12 s and a round trip 0.3 s.
"""

from __future__ import annotations

import math
from typing import Final

_LONGEST: Final = 5.0
"""A slower refusal was delayed elsewhere and says nothing about the network."""
_SHORTEST_GRACE: Final = 1.0
_SILENCE: Final = (0.3, 1.25)
"""Seconds without a refusal after which an attempt counts as accepted during startup. The upper bound applies while no
round trip is known, or if the server signals admissions at once. The lower bound is the time of a DeepSeek refusal, as
reported by users: a nearby gateway may wait for the server behind it."""
_DISTANCES: Final = 40
"""Maximum time of a refusal in network round trips: DeepSeek's edge is some 10 ms away."""
_NEAR: Final = 0.002
"""Round-trip time in seconds to a server on this machine or in the same network."""
_MEMORY: Final = 500
"""Attempts over which durations are averaged. They vary widely (p99 is 7 times the median), so fewer would mislead."""
_SPAN: Final = 5.0
"""Minimum seconds over which the flow is measured."""
_SAFETY: Final = 2.2
"""Standard deviations that the slots in transit may fall short of their mean. At 2.2 one attempt in about 300 meets
a full server; at 3 the limit leaves 0.4 % more capacity unused (benchmarks/simulation)."""
_TOLERATED: Final = 0.02
"""Tolerated share of attempts that meet a full server for that reason, over the averaging window of durations."""
_FORGOTTEN: Final = 20_000
"""Attempts after which those refusals are forgotten."""


class RoundTrips:
    """Round trip, duration and flow of attempts under one limit. Times in seconds."""

    __slots__ = (
        "_flow",
        "_heard",
        "_measured_at",
        "_measured_ends",
        "_refused",
        "_strikes",
        "_struck_at",
        "_trust",
        "ends",
        "grace",
        "held",
        "is_near",
        "round_trip",
        "shortest",
        "silence",
    )

    def __init__(self, now: float) -> None:
        self.round_trip = 0.0
        """0 before the first refusal: no allowance for transit without a measurement."""
        self.shortest = math.inf
        """Shortest time to an admission, an upper bound of the round trip."""
        self.is_near = False
        """Whether the next hop is nearby and no attempt has had a response yet."""
        self._heard = False
        self._refused = False
        self._trust = 1.0
        self._strikes = 0.0
        self._struck_at = 0
        self.silence = _SILENCE[1]
        """Time without a refusal after which an attempt of the startup counts as accepted."""
        self.grace = _SHORTEST_GRACE
        """Time without a refusal after which any attempt counts as accepted."""
        self.held = 0.0
        """Mean time that an accepted attempt holds its slot; 0 before the first one ends."""
        self.ends = 0
        """Accepted attempts that have ended."""
        self._flow = 0.0
        self._measured_at = now
        self._measured_ends = 0

    def refused_after(self, seconds: float) -> None:
        """Record the time to a refusal."""
        seconds = min(seconds, _LONGEST)
        if self.shortest < seconds:
            # The first refusals may include opening their connections, or a busy loop.
            self.shortest += (seconds - self.shortest) / 8
            seconds = self.shortest
        self.heard()
        self.round_trip += (seconds - self.round_trip) / (8 if self._refused else 1)
        self._refused = True
        self.grace = max(_SHORTEST_GRACE, 3 * self.round_trip)
        self.silence = min(max(self.silence, 3 * self.round_trip), _SILENCE[1])

    def taken_after(self, seconds: float) -> None:
        """Record the time to an explicit admission."""
        self.heard()
        if not 0 < seconds < self.shortest:
            return  # delayed admissions that are read in one batch appear to take no time
        if seconds < self.silence:
            self.silence = _SILENCE[1]
        self.shortest = seconds if self.shortest == math.inf else self.shortest + (seconds - self.shortest) / 8

    def heard(self) -> None:
        """Record any response, after which the distance of the next hop no longer bounds anything."""
        self._heard = True
        self.is_near = False

    def connected(self, seconds: float) -> None:
        """Record a network round-trip time."""
        if not self._refused and self.shortest == math.inf:
            self.silence = min(max(_SILENCE[0], _DISTANCES * seconds), _SILENCE[1])
            self.is_near = not self._heard and seconds <= _NEAR

    def ended_after(self, seconds: float) -> None:
        """Record the duration of an accepted attempt."""
        self.ends = ends = self.ends + 1
        self.held += (seconds - self.held) / (min(_MEMORY, ends))

    def overestimated(self, attempts: int) -> None:
        """Record a full server with at most ``spare`` beyond its limit; ``attempts`` have been sent so far."""
        passed = attempts - self._struck_at
        self._struck_at = attempts
        self._trust = min(1.0, self._trust + passed / _FORGOTTEN)
        self._strikes = self._strikes * max(0.0, 1 - passed / _MEMORY) + 1
        if self._strikes > _TOLERATED * _MEMORY:
            self._strikes = 0.0
            self._trust /= 2

    def measure_flow(self, now: float) -> None:
        """Update the flow. Call it every few seconds or more often."""
        span = now - self._measured_at
        if span >= _SPAN:
            self._flow = (self.ends - self._measured_ends) / span
            self._measured_at = now
            self._measured_ends = self.ends

    def on_the_way(self, slots: float) -> float:
        """Return the mean number of ``slots`` that are empty at the server.

        The smaller of two estimates, by duration and by flow, because each can be too high: short answers end first, so
        durations are underestimated after a start; and after a drop of the limit the flow lags behind.
        """
        return min(slots / self.held, self._flow) * self.round_trip if self.held > 0 else 0.0

    def spare(self, slots: int) -> int:
        """Return how many attempts beyond ``slots`` may be in flight and hardly ever meet a full server.

        The slots in transit are Poisson-distributed, so this is the mean less a few standard deviations. Answers of
        equal duration come and go together and violate that, which refusals then reveal.
        """
        mean = self.on_the_way(slots)
        return max(0, int(self._trust * (mean - _SAFETY * math.sqrt(mean))))
