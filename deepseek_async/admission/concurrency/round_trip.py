"""How long attempts take, and how many slots that leaves empty at the server.

A slot stays empty while the answer travels back and its replacement travels out. So a server with a limit of 500 sees
about 487 of 500 attempts in flight, if an attempt takes 12 s and a round trip 0.3 s.
"""

from __future__ import annotations

import math
from typing import Final

_LONGEST: Final = 5.0
"""A refusal that took longer waited somewhere, and says nothing about the way."""
_SHORTEST_GRACE: Final = 1.0
_SILENCE: Final = (0.3, 1.25)
"""Seconds without a refusal, between which an attempt counts as taken at the start: at most this long, if nothing is
known of the way, or if the server says at once what it takes, and so is only late. At least as long as a refusal of
DeepSeek takes (so users say), because a gateway may be near, and who refuses behind it."""
_DISTANCES: Final = 40
"""So many times as long as a packet travels may a refusal take: DeepSeek's edge is some 10 ms away."""
_NEAR: Final = 0.002
"""Seconds that a packet takes to a server of this machine, or of the same network, and back."""
_MEMORY: Final = 500
"""Attempts over which durations are averaged. They spread widely (p99 is 7 times the median), so fewer mislead."""
_SPAN: Final = 5.0
"""Seconds over which the flow is measured, at least."""
_SAFETY: Final = 2.2
"""Standard deviations by which the slots on the way may fall short of their mean. At 2.2 one attempt in about 300 meets
a full server; at 3 the window leaves 0.4 % more of the limit unused (benchmarks/simulation)."""
_TOLERATED: Final = 0.02
"""Share of attempts that may meet a full server because of them, of so many as durations are averaged over."""
_FORGOTTEN: Final = 20_000
"""Attempts after which that is forgotten."""


class RoundTrips:
    """Round trip, duration and flow of the attempts of one window. Seconds."""

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
        """0 before the first refusal: nothing is allowed for a way that nobody has measured."""
        self.shortest = math.inf
        """The least that was heard to pass until an attempt was taken, about: no round trip takes longer."""
        self.is_near = False
        """Whether the next machine on the way is near, and nothing has come of any attempt yet."""
        self._heard = False
        self._refused = False
        self._trust = 1.0
        self._strikes = 0.0
        self._struck_at = 0
        self.silence = _SILENCE[1]
        """After that long without a refusal, an attempt of a start counts as taken."""
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
        seconds = min(seconds, _LONGEST)
        if self.shortest < seconds:
            # The first refusals may have opened their connections, or waited for a busy loop.
            self.shortest += (seconds - self.shortest) / 8
            seconds = self.shortest
        self.heard()
        self.round_trip += (seconds - self.round_trip) / (8 if self._refused else 1)
        self._refused = True
        self.grace = max(_SHORTEST_GRACE, 3 * self.round_trip)
        self.silence = min(max(self.silence, 3 * self.round_trip), _SILENCE[1])

    def taken_after(self, seconds: float) -> None:
        """The server said that long after it was sent that it has taken an attempt."""
        self.heard()
        if not 0 < seconds < self.shortest:
            return  # news that come late, many at one time, seem to take none
        if seconds < self.silence:
            self.silence = _SILENCE[1]
        self.shortest = seconds if self.shortest == math.inf else self.shortest + (seconds - self.shortest) / 8

    def heard(self) -> None:
        """Something has come of an attempt, whatever it was: how far the next machine is bounds nothing any more."""
        self._heard = True
        self.is_near = False

    def connected(self, seconds: float) -> None:
        """A packet took that long to the server and back."""
        if not self._refused and self.shortest == math.inf:
            self.silence = min(max(_SILENCE[0], _DISTANCES * seconds), _SILENCE[1])
            self.is_near = not self._heard and seconds <= _NEAR

    def ended_after(self, seconds: float) -> None:
        """A taken attempt ended that long after it was sent."""
        self.ends = ends = self.ends + 1
        self.held += (seconds - self.held) / (min(_MEMORY, ends))

    def overestimated(self, attempts: int) -> None:
        """The server was full although no more than ``spare`` were beyond its limit; so many have been sent so far."""
        passed = attempts - self._struck_at
        self._struck_at = attempts
        self._trust = min(1.0, self._trust + passed / _FORGOTTEN)
        self._strikes = self._strikes * max(0.0, 1 - passed / _MEMORY) + 1
        if self._strikes > _TOLERATED * _MEMORY:
            self._strikes = 0.0
            self._trust /= 2

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

        Those on the way are a Poisson number, so this is its mean less a few standard deviations; but where answers all
        take the same time, they come and go together, and refusals tell that it is none.
        """
        mean = self.on_the_way(slots)
        return max(0, int(self._trust * (mean - _SAFETY * math.sqrt(mean))))
