"""Circuit breaker: fails fast during an outage and detects recovery cheaply. Pure: clock and chance are arguments.

CLOSED ── repeated failures ──► OPEN ── reset_timeout ──► HALF_OPEN ── probe succeeds ──► CLOSED
                                  ▲                           │
                                  └─ probe fails, timeout x 2 ┘
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec

from deepseek_async.errors import ConfigurationError

LONGEST_RESET: Final = 300.0
"""Seconds; each failed probe doubles the time to the next one, up to this."""

PROBE_PATIENCE: Final = 120.0
"""Seconds after which a probe without an outcome no longer blocks other probes."""

_LATE_SUCCESSES: Final = 3
"""Successes of attempts from before the outage that bring the probe forward, once per outage."""

_APART: Final = 1.0
"""Minimum seconds between two incidents with many callers: a restart of two or three seconds is not an outage. For a
single caller that retries repeatedly, five failures in a row are evidence enough, without a delay."""

_MEMORY: Final = 50.0
"""Attempts over which the failure rate is averaged."""
_UNLIKELY: Final = 0.001
_MOST: Final = 0.9
_LONGER: Final = 0.25
"""Batch rows probe after this fraction of the outage's duration: eleven times in a one-minute outage, and the job
resumes before it has lost a quarter more than the duration of the outage."""


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Circuit breaker settings.

    Raises ConfigurationError, naming the field, for invalid values.
    """

    failure_threshold: int = 5
    """Consecutive incidents without a success that open it; more if a constant share of attempts fails, so that chance
    does not open it. Failures of concurrent attempts, or of many callers within a second, are one incident: 500
    connections dropped by one blip are no more evidence than one."""
    reset_timeout: float = 60.0
    """Seconds (± 10 %) until a probe request is let through; doubled after each failed probe, up to 300. Batch rows may
    probe each time the outage has lasted a quarter longer, at least at this interval."""

    def __post_init__(self) -> None:
        threshold = self.failure_threshold
        if not isinstance(threshold, int) or isinstance(threshold, bool) or threshold < 1:
            raise ConfigurationError(f"breaker.failure_threshold must be an integer of at least 1, got {threshold}")
        if not 0 < self.reset_timeout < float("inf"):
            raise ConfigurationError(f"breaker.reset_timeout must be above 0 seconds, got {self.reset_timeout}")


class State(Enum):
    """Breaker state."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts outcomes of attempts. ``owner`` identifies an attempt, ``began`` is its start time.

    Cancellations, refusals and 4xx are no evidence: report these with ``ended``.
    """

    __slots__ = (
        "_alone",
        "_bulk_asks",
        "_chance",
        "_early",
        "_evidence",
        "_first_at",
        "_in_a_row",
        "_incidents",
        "_opened_at",
        "_policy",
        "_probe",
        "_probe_began",
        "_reopens",
        "_seen",
        "_share",
        "_taken",
        "_timeout",
        "opened",
        "state",
    )

    def __init__(self, policy: BreakerPolicy, chance: Callable[[], float]) -> None:
        self._policy = policy
        self._chance = chance
        self.state = State.CLOSED
        self.opened = 0
        """Number of times it opened."""
        self._incidents = 0
        self._taken = 0
        self._in_a_row = 0
        self._share = 0.0
        self._alone = True  # whether a single caller met all failures
        self._seen = -float("inf")
        self._timeout = policy.reset_timeout
        self._opened_at = 0.0
        self._reopens = 0.0
        self._first_at = self._bulk_asks = 0.0
        self._evidence = 0
        self._early = False
        self._probe: object = None
        self._probe_began = 0.0

    @property
    def closed(self) -> bool:
        """Whether all attempts may start."""
        return self.state is State.CLOSED

    def admits(self, now: float, *, bulk: bool = False) -> bool:
        """Whether an attempt may start now; ``bulk``: batch work, which probes sooner."""
        if self.state is State.CLOSED:
            return True
        return now >= self.next_change(now, bulk=bulk)

    def next_change(self, now: float, *, bulk: bool = False) -> float:
        """Return the time from which an attempt may start, unless an outcome changes it before."""
        if self.state is State.CLOSED:
            return now
        if self._probe is None:
            return min(self._reopens, self._bulk_asks) if bulk else self._reopens
        return self._probe_began + PROBE_PATIENCE

    def retry_after(self, now: float) -> float:
        """Return the seconds after which a retry is useful."""
        if self._probe is not None:
            return 1.0  # a probe is in flight
        return max(0.0, self.next_change(now) - now)

    def began(self, owner: object, now: float) -> None:
        """Record the start of an attempt, which is the probe if the breaker was not closed."""
        if self.state is not State.CLOSED:
            self.state = State.HALF_OPEN
            self._probe = owner
            self._probe_began = now

    def succeeded(self, began: float, now: float) -> bool:
        """Record a success. Returns True if it closed the breaker."""
        if self.state is State.CLOSED:
            self._incidents = 0
            if self._in_a_row or self._share:
                self._learn_share()
            return False
        # Not only the probe: a probe that timed out after two minutes is equally good evidence.
        if began >= self._opened_at:
            self.reset()
            return True
        if self.state is State.OPEN:
            self._evidence += 1
            if self._evidence == _LATE_SUCCESSES:
                self._reopens = min(self._reopens, now)
                self._early = True
        return False

    def failed(self, owner: object, began: float, now: float, taken: int = 0, *, alone: bool = True) -> bool:
        """Record a failure that is evidence against the server. Returns True if it opened the breaker.

        ``taken`` is the number of attempts that the server has accepted so far without failing: while it grows, some
        succeed, though the first answer may be minutes away. ``alone``: there is no other caller.
        """
        if self.state is not State.CLOSED:
            if self._probe is not owner:
                return False
            if self._probe_began < self._reopens:
                self._ask_later(now)
                return False
            if not self._early:
                self._timeout = max(self._timeout, min(LONGEST_RESET, self._timeout * 2))
            self._open(now)
            return True
        if not self._incidents or taken > self._taken:
            self._incidents, self._taken, self._seen, self._alone = 1, taken, now, alone
            self._first_at = now
        else:
            self._alone = self._alone and alone
            if began >= self._seen and (self._alone or now >= self._seen + _APART):
                self._seen = now
                self._incidents += 1
        self._in_a_row += 1
        if self._incidents >= self._policy.failure_threshold and self._incidents >= self._by_chance():
            self._open(now)
            return True
        return False

    def ended(self, owner: object) -> None:
        """Record an ending without evidence; a probe makes room for the next one."""
        if self._probe is owner:
            self._probe = None

    def reset(self) -> None:
        """Close the breaker and reset its counters."""
        self.state = State.CLOSED
        self._probe = None
        self._incidents = self._evidence = self._in_a_row = 0
        self._timeout = self._policy.reset_timeout

    def _learn_share(self) -> None:
        """Update the failure rate on a success after failures."""
        kept = (1 - 1 / _MEMORY) ** min(self._in_a_row, _MEMORY / 2)
        share = (1 - (1 - self._share) * kept) * (1 - 1 / _MEMORY)
        self._share = share if share > _UNLIKELY else 0.0
        self._in_a_row = 0

    def _by_chance(self) -> float:
        """Return the number of consecutive failures that the previous failure rate explains by chance."""
        share = min(self._share, _MOST)
        return math.log(_UNLIKELY) / math.log(share) if share else 0.0

    def _ask_later(self, now: float) -> None:
        self.state = State.OPEN
        self._probe = None
        longer = max(_APART, (now - self._first_at) * _LONGER)
        self._bulk_asks = now + min(self._policy.reset_timeout, longer) * self._jitter

    def _open(self, now: float) -> None:
        self._ask_later(now)
        self.opened += 1
        self._early = False
        self._opened_at = now
        self._reopens = now + self._timeout * self._jitter

    @property
    def _jitter(self) -> float:
        return 0.9 + 0.2 * self._chance()
