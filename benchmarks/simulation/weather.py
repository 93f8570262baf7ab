"""A job of many rows against servers in trouble: overloaded, rate limited, or gone for a while. Virtual time.

Each server is asked once for each attempt that arrives. It takes it, for a service time, or turns it away at once:
by chance, whatever the load; because too many run; because they come too fast; or because it is down.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from benchmarks.simulation.contestants import CAP
from deepseek_async.admission.concurrency import AdaptiveLimit

LONGEST: Final = 900.0
"""Seconds after which a run is given up."""


class Server(Protocol):
    """Whether an attempt that arrives now is taken."""

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        """None if it is taken; else the seconds after which to ask again, 0 if nothing is said about that."""


@dataclass
class Stray:
    """A share fails, whatever the load."""

    share: float

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        return 0.0 if chance.random() < self.share else None


@dataclass
class Connections:
    """``limit_conn`` of nginx."""

    limit: int

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        return 0.0 if running >= self.limit else None


class Rate:
    """``limit_req`` of nginx: a leaky bucket, and ``burst`` requests that may come before their time."""

    def __init__(self, per_second: float, burst: int = 0) -> None:
        self._rate = per_second
        self._burst = burst
        self._excess = -math.inf
        self._last = 0.0

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        # Milliseconds, as nginx counts (ngx_http_limit_req_module.c).
        passed = math.floor(now * 1000) - self._last
        excess = max(0.0, self._excess - self._rate * passed / 1000 + 1) if self._excess > -math.inf else 0.0
        if excess > self._burst:
            return 0.0
        self._excess, self._last = excess, math.floor(now * 1000)
        return None


class Minute:
    """So many requests a minute: a bucket that fills evenly. Says in whole seconds when to come back."""

    def __init__(self, per_minute: float, burst: int = 1, *, says: bool = True) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._tokens = float(burst)
        self._last = 0.0
        self._says = says

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            return float(math.ceil((1 - self._tokens) / self._rate)) if self._says else 0.0
        self._tokens -= 1
        return None


class Windowed:
    """So many requests in each minute of the clock."""

    def __init__(self, per_minute: int) -> None:
        self._limit = per_minute
        self._minute = -1.0
        self._count = 0

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        if now // 60 != self._minute:
            self._minute, self._count = now // 60, 0
        if self._count >= self._limit:
            return math.ceil(60 - now % 60)
        self._count += 1
        return None


@dataclass
class Both:
    """One after the other."""

    first: Server
    second: Server

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        found = self.first.refusal(now, running, chance)
        return self.second.refusal(now, running, chance) if found is None else found


@dataclass
class Down:
    """Down from ``start`` on, for ``seconds``."""

    start: float
    seconds: float

    def refusal(self, now: float, running: int, chance: random.Random) -> float | None:
        return 0.0 if self.start <= now < self.start + self.seconds else None


class Client(Protocol):
    """Who sends the rows."""

    def connected(self, seconds: float) -> None:
        """A packet takes so long to the server and back."""

    def may_send(self, now: float) -> bool: ...
    def next_change(self, now: float) -> float | None: ...
    def sent(self, now: float) -> Any: ...
    def admitted(self, attempt: Any, now: float) -> None: ...
    def served(self, attempt: Any, now: float) -> None: ...
    def refused(self, attempt: Any, now: float, after: float) -> float:
        """Turned away, and asked to come back ``after`` so long; the seconds until its row may be sent again."""


class Ours:
    """The production window, and the waits of bulk rows. ``said``: whether the server says 429, and not 503."""

    def __init__(self, seed: int, *, said: bool = False) -> None:
        self._chance = random.Random(seed)
        self._said = said
        self._paused_until = -math.inf
        self.window = AdaptiveLimit(cap=CAP, chance=self._chance.random, now=0.0)

    def connected(self, seconds: float) -> None:
        self.window.connected(seconds)

    def may_send(self, now: float) -> bool:
        return now >= self._paused_until and self.window.may_send(now)

    def next_change(self, now: float) -> float | None:
        return self._paused_until if now < self._paused_until else self.window.next_change(now)

    def sent(self, now: float) -> Any:
        return self.window.sent(now)

    def admitted(self, attempt: Any, now: float) -> None:
        self.window.admitted(attempt, now)

    def served(self, attempt: Any, now: float) -> None:
        self.window.admitted(attempt, now)
        self.window.ended(attempt, now)

    def refused(self, attempt: Any, now: float, after: float) -> float:
        if after:
            self._paused_until = now + after * (1 + 0.1 * self._chance.random())
            self.window.throttled(attempt, now, self._paused_until)
            return 0.0
        if self._said:
            self.window.refused(attempt, now)
            return 0.0
        self.window.ended(attempt, now, overload=True)
        return self._chance.random() * 0.25


class Fixed:
    """So many at a time, each tried again after a tenth of a second, or when it was asked to."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._in_flight = 0

    def connected(self, seconds: float) -> None:
        pass

    def may_send(self, now: float) -> bool:
        return self._in_flight < self._width

    def next_change(self, now: float) -> float | None:
        return None

    def sent(self, now: float) -> Any:
        self._in_flight += 1

    def admitted(self, attempt: Any, now: float) -> None:
        pass

    def served(self, attempt: Any, now: float) -> None:
        self._in_flight -= 1

    def refused(self, attempt: Any, now: float, after: float) -> float:
        self._in_flight -= 1
        return after or 0.1


@dataclass(frozen=True)
class World:
    """What a run depends on. Times in seconds."""

    server: Callable[[], Server]
    rows: int
    round_trip: float = 0.002
    service: float = 0.2
    spread: float = 0.0
    """Sigma of a lognormal service time."""
    early_headers: bool = False
    refusal_time: float = 0.0
    """After which a refusal is sent."""
    jitter: float = 0.0005
    """Mean of what each way takes longer."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    seconds: float
    served: int
    attempts: int
    served_at: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.served / self.seconds

    @property
    def per_answer(self) -> float:
        """Attempts for each answer."""
        return self.attempts / max(1, self.served)


class Job:
    """One run: each row is sent until it is served."""

    def __init__(self, world: World, client: Client, seed: int) -> None:
        self._world = world
        self._client = client
        client.connected(world.round_trip)
        self._chance = random.Random(seed)
        self._server = world.server()
        self._events: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._number = self._running = self._attempts = 0
        self._ready = list(range(world.rows))
        self._served_at: list[float] = []
        self._woken = math.inf

    def run(self, until: float = LONGEST) -> Outcome:
        """Until every row is served, or that time."""
        self._at(0.0, self._wake, None)
        now = 0.0
        while self._events and len(self._served_at) < self._world.rows and now <= until:
            now, _, happen, what = heapq.heappop(self._events)
            happen(now, what)
        return Outcome(now, len(self._served_at), self._attempts, self._served_at)

    def _at(self, when: float, happen: Callable[[float, Any], None], what: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen, what))

    def _way(self) -> float:
        return self._world.round_trip / 2 + self._chance.expovariate(1 / self._world.jitter)

    def _send(self, now: float) -> None:
        client, ready = self._client, self._ready
        while ready and client.may_send(now):
            self._attempts += 1
            self._at(now + self._way(), self._arrive, (client.sent(now), heapq.heappop(ready)))
        due = client.next_change(now) if ready else None
        if due is not None and due < self._woken:
            self._woken = max(due, now + 0.0005)
            self._at(self._woken, self._wake, None)

    def _wake(self, now: float, _: Any) -> None:
        self._woken = math.inf
        self._send(now)

    def _arrive(self, now: float, what: Any) -> None:
        world = self._world
        after = self._server.refusal(now, self._running, self._chance)
        if after is not None:
            self._at(now + world.refusal_time + self._way(), self._refused, (*what, after))
            return
        self._running += 1
        if world.early_headers:
            self._at(now + self._way(), self._admitted, what[0])
        took = world.service * (self._chance.lognormvariate(0, world.spread) if world.spread else 1.0)
        self._at(now + took, self._finish, what[0])

    def _admitted(self, now: float, attempt: Any) -> None:
        self._client.admitted(attempt, now)
        self._send(now)

    def _finish(self, now: float, attempt: Any) -> None:
        self._running -= 1
        self._at(now + self._way(), self._served, attempt)

    def _served(self, now: float, attempt: Any) -> None:
        self._served_at.append(now)
        self._client.served(attempt, now)
        self._send(now)

    def _refused(self, now: float, what: Any) -> None:
        attempt, row, after = what
        self._at(now + self._client.refused(attempt, now, after), self._return, row)
        self._send(now)

    def _return(self, now: float, row: int) -> None:
        heapq.heappush(self._ready, row)
        self._send(now)


WORLDS: Final[dict[str, World]] = {
    "a share of 20 %": World(lambda: Stray(0.2), rows=3000),
    "a share of 40 %": World(lambda: Stray(0.4), rows=3000),
    "a share of 60 %": World(lambda: Stray(0.6), rows=3000),
    "a share of 25 %, slow answers": World(lambda: Stray(0.25), rows=3000, service=1.0),
    "a share of 40 %, told late": World(lambda: Stray(0.4), rows=3000, refusal_time=0.2),
    "20 a second": World(lambda: Rate(20), rows=400, spread=0.5),
    "20 a second, slow answers": World(lambda: Rate(20), rows=400, service=1.0),
    "20 a second, and a burst of 10": World(lambda: Rate(20, 10), rows=400),
    "10 at once": World(lambda: Connections(10), rows=600, spread=0.8),
    "4 at once": World(lambda: Connections(4), rows=300),
    "120 a minute": World(lambda: Minute(120), rows=320, service=0.05),
    "120 a minute, and a burst of 20": World(lambda: Minute(120, 20), rows=320, service=0.05),
    "120 in each minute": World(lambda: Windowed(120), rows=480, service=0.05),
    "down for 3 s": World(lambda: Down(2, 3), rows=12_000),
}
WIDTHS: Final = (2, 4, 8, 12, 16, 24, 32, 48, 64)


def main() -> None:
    """Every world, with the best fixed width found by trying."""
    print(f"{'':32} {'best fixed':>22} {'ours':>30}")
    for name, world in WORLDS.items():
        fixed = {width: Job(world, Fixed(width), 1).run() for width in WIDTHS}
        best = max(fixed, key=lambda width: fixed[width].rate)
        ours = [Job(world, Ours(seed), seed).run() for seed in range(5)]
        print(
            f"{name:32} {fixed[best].rate:7.1f}/s at {best:3} ({fixed[best].per_answer:5.2f})   "
            + " ".join(f"{one.rate:6.1f} ({one.per_answer:.2f})" for one in ours),
            flush=True,
        )


if __name__ == "__main__":
    main()
