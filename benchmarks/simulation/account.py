"""A model of one account: a server with a hidden limit, and clients that want to run as much as they may.

A request travels half a round trip, is refused or runs for a lognormal time, and its answer travels back. A refusal
and the headers of an admitted request are back after one round trip. A client always has more to send, or what has
come to it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from benchmarks.simulation.limits import Trace

_ARRIVE, _ANSWER, _REFUSE, _FINISH, _END, _LIMIT, _WAKE, _JOIN, _CALL, _EVENT = range(10)
_NORMAL_P99: Final = 2.3263478740408408


class Window(Protocol):
    """What a controller offers; see ``deepseek_async.admission.concurrency_limit``."""

    in_flight: int

    def may_send(self, now: float) -> bool: ...
    def next_change(self, now: float) -> float | None: ...
    def sent(self, now: float) -> Any: ...
    def admitted(self, attempt: Any, now: float) -> None: ...
    def refused(self, attempt: Any, now: float, *, limit: int | None = None, current: int | None = None) -> None: ...
    def ended(self, attempt: Any, now: float) -> None: ...
    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class Conditions:
    """The world outside the controller. Times in seconds."""

    round_trip: float = 0.3
    median: float = 8.0
    p99: float = 60.0
    uniform: tuple[float, float] | None = None
    """Shortest and longest service time, all between as likely, in the place of a lognormal one."""
    numbers: bool = True
    """Whether a 429 says how many run and how many may."""
    early_headers: bool = True
    """Whether an admitted request is answered with headers at once, or only when it is finished."""
    stray: float = 0.0
    """Share of attempts that are refused for no reason, without numbers."""
    nodes: int = 1
    """Gateway nodes, each enforcing its part of the limit."""
    told: Literal["account", "node", "full"] = "account"
    """Whose numbers a 429 names: the account's, the refusing node's, or the account's limit as if it were full."""
    join_every: float = 0.0
    """Seconds between the starts of the clients."""


@dataclass
class Outcome:
    """What one run gave."""

    seconds: float
    attempts: int = 0
    refusals: int = 0
    busy: float = 0.0
    allowed: float = 0.0
    arrived_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    """Requests finished, by client."""
    picture: list[tuple[float, int, int]] = field(default_factory=list)
    """(second, hidden limit, window of all clients), every half second."""
    busy_by_second: list[float] = field(default_factory=list)
    """Slot-seconds used in each second, at most those allowed."""
    attempts_by_second: list[int] = field(default_factory=list)
    ended: list[list[tuple[float, float]]] = field(default_factory=list)
    """Answers, by client: when each came, and how long it took from the call; of endless work, from its attempt."""

    @property
    def used(self) -> float:
        """Per cent of what an oracle without delay would have run."""
        return 100 * self.busy / self.allowed

    @property
    def refused(self) -> float:
        """Per cent of the attempts that were answered 429."""
        return 100 * self.refusals / max(1, self.attempts)

    def refusals_between(self, start: float, end: float) -> int:
        """429s in a span of time."""
        return sum(start <= second < end for second in self.refused_at)

    def full_after(self, start: float, share: float, limit: int) -> float:
        """Seconds from ``start`` until a whole second was used to that share of the limit."""
        seconds = self.busy_by_second[int(start) :]
        return next((float(second + 1) for second, busy in enumerate(seconds) if busy >= share * limit), math.inf)

    def rudest(self, until: float = math.inf) -> tuple[int, int]:
        """(refused, attempts) of the second up to then that most exceeds 20 refusals and one attempt in ten."""
        attempts, refused = (Counter(map(int, times)) for times in (self.arrived_at, self.refused_at))
        seconds = [(refused[second], attempts[second]) for second in attempts if second < until]
        return max(seconds, key=lambda one: one[0] - max(20, 0.1 * one[1]))

    @property
    def fairness(self) -> float:
        """Jain's index over the clients: 1 is equal shares."""
        return sum(self.served) ** 2 / (len(self.served) * sum(count * count for count in self.served))


class Account:
    """One run of the model."""

    def __init__(
        self,
        trace: Trace,
        windows: list[Callable[[float, Callable[[], float]], Window]],
        conditions: Conditions,
        seed: int,
        arrivals: list[Iterator[float]] | None = None,
    ) -> None:
        """``arrivals`` are the times of the calls at each client; without, each has endless work."""
        self.trace = trace
        self._conditions = conditions
        self._chance = random.Random(seed)
        self._make = windows
        self._windows: list[Window | None] = [None] * len(windows)
        self._sigma = math.log(conditions.p99 / conditions.median) / _NORMAL_P99
        self._mu = math.log(conditions.median)
        self._events: list[tuple[float, int, int, int, int, Any]] = []
        self._number = 0
        self._running = [0] * conditions.nodes
        self._all_running = 0
        self._limit = 0
        self._since = 0.0
        self._woken = [math.inf] * len(windows)
        self._arrivals = arrivals
        self._waiting: list[deque[float]] = [deque() for _ in windows]
        self._asked: dict[Any, float] = {}
        """Attempts in flight, and when the call was made."""
        self._lives = [0] * len(windows)
        self._running_of = [[0] * conditions.nodes for _ in windows]
        self._stopped_until = [-math.inf] * len(windows)
        self.outcome = Outcome(trace.until, served=[0] * len(windows))
        self.outcome.busy_by_second = [0.0] * (math.ceil(trace.until) + 1)
        self.outcome.attempts_by_second = [0] * (math.ceil(trace.until) + 1)
        self.outcome.ended = [[] for _ in windows]

    @property
    def waiting(self) -> list[int]:
        """Calls that wait to be sent, by client."""
        return [len(calls) for calls in self._waiting]

    def happen(self, second: float, event: Callable[[float], None]) -> None:
        """Call ``event`` with the time when it has come."""
        self._at(second, _EVENT, 0, event)

    def kill(self, client: int, now: float) -> None:
        """End a client's process, and with it what it has in flight; ``replace`` begins another in its place."""
        self._measure(now)
        for node, running in enumerate(self._running_of[client]):
            self._running[node] -= running
            self._all_running -= running
        self._running_of[client] = [0] * self._conditions.nodes
        self._lives[client] += 1
        self._windows[client] = None

    def replace(self, client: int, now: float, window: Window) -> None:
        """A process that has not sent anything yet is the client from now on."""
        self._lives[client] += 1
        self._windows[client] = window
        self._woken[client] = math.inf
        self._send(now, client)

    def stop(self, client: int, now: float, seconds: float) -> None:
        """A client does nothing for a while; what it is sent waits for it."""
        self._stopped_until[client] = now + seconds

    def run(self) -> Outcome:
        """Play the trace to its end."""
        for second, limit in self.trace.changes:
            self._at(second, _LIMIT, 0, limit)
        for client in range(len(self._windows)):
            self._at(client * self._conditions.join_every, _JOIN, client, None)
        sample = 0.0
        until = self.trace.until
        events = self._events
        while events and events[0][0] < until:
            now, _, kind, client, life, what = heapq.heappop(events)
            while sample <= now:
                size = sum(window.size for window in self._windows if window is not None)
                self.outcome.picture.append((sample, self._limit, size))
                sample += 0.5
            if kind == _LIMIT:
                self._measure(now)
                self._limit = what
            elif kind == _EVENT:
                what(now)
            elif kind == _CALL:
                self._waiting[client].append(now)
                self._next_call(client)
                self._send(now, client)
            elif kind == _JOIN:
                self._windows[client] = self._make[client](now, self._chance.random)
                self._send(now, client)
                self._next_call(client)
            elif life == self._lives[client]:
                self._play(now, kind, client, what)
        self._measure(until)
        return self.outcome

    def _play(self, now: float, kind: int, client: int, what: Any) -> None:
        if kind == _ARRIVE:
            self._arrive(now, client, what)
        elif kind == _FINISH:
            self._measure(now)
            self._running[what[1]] -= 1
            self._running_of[client][what[1]] -= 1
            self._all_running -= 1
            self._at(now + self._conditions.round_trip / 2, _END, client, what[0])
        elif now < self._stopped_until[client]:
            self._at(self._stopped_until[client], kind, client, what)
        else:
            self._tell(now, kind, client, what)
            self._send(now, client)

    def _at(self, when: float, kind: int, client: int, what: Any) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, kind, client, self._lives[client], what))

    def _next_call(self, client: int) -> None:
        if self._arrivals is not None and (due := next(self._arrivals[client], None)) is not None:
            self._at(due, _CALL, client, None)

    def _send(self, now: float, client: int) -> None:
        window = self._windows[client]
        if window is None or now < self._stopped_until[client]:
            return
        travel = self._conditions.round_trip / 2
        waiting, endless = self._waiting[client], self._arrivals is None
        while (endless or waiting) and window.may_send(now):
            self.outcome.attempts += 1
            self.outcome.attempts_by_second[int(now)] += 1
            attempt = window.sent(now)
            self._asked[attempt] = now if endless else waiting.popleft()
            self._at(now + travel, _ARRIVE, client, attempt)
        due = window.next_change(now) if endless or waiting else None
        if due is not None and due < self._woken[client]:
            self._woken[client] = due
            self._at(max(due, now), _WAKE, client, None)

    def _tell(self, now: float, kind: int, client: int, what: Any) -> None:
        window = self._windows[client]
        assert window is not None
        if kind == _END:
            self.outcome.served[client] += 1
            self.outcome.ended[client].append((now, now - self._asked.pop(what)))
            window.admitted(what, now)
            window.ended(what, now)
        elif kind == _ANSWER:
            window.admitted(what, now)
        elif kind == _WAKE:
            self._woken[client] = math.inf
        else:
            attempt, limit, current = what
            asked = self._asked.pop(attempt)
            if self._arrivals is not None:
                self._waiting[client].appendleft(asked)
            window.refused(attempt, now, limit=limit, current=current)

    def _arrive(self, now: float, client: int, attempt: Any) -> None:
        conditions = self._conditions
        travel = conditions.round_trip / 2
        self.outcome.arrived_at.append(now)
        stray = conditions.stray > 0 and self._chance.random() < conditions.stray
        node = self._chance.randrange(conditions.nodes) if conditions.nodes > 1 else 0
        if stray or self._running[node] * conditions.nodes >= self._limit:
            self.outcome.refusals += 1
            self.outcome.refused_at.append(now)
            told = self._numbers(node) if conditions.numbers and not stray else (None, None)
            self._at(now + travel, _REFUSE, client, (attempt, *told))
            return
        self._measure(now)
        self._running[node] += 1
        self._running_of[client][node] += 1
        self._all_running += 1
        if conditions.early_headers:
            self._at(now + travel, _ANSWER, client, attempt)
        self._at(now + self._service(), _FINISH, client, (attempt, node))

    def _service(self) -> float:
        if self._conditions.uniform is not None:
            return self._chance.uniform(*self._conditions.uniform)
        return self._chance.lognormvariate(self._mu, self._sigma)

    def _numbers(self, node: int) -> tuple[int, int]:
        """Limit and current concurrency as a 429 names them."""
        if self._conditions.told == "node":
            return self._limit // self._conditions.nodes, self._running[node] + 1
        if self._conditions.told == "full":
            return self._limit, self._limit + 1
        return self._limit, self._all_running + 1

    def _measure(self, now: float) -> None:
        since = self._since
        if now <= since:
            return
        self._since = now
        used = min(self._all_running, self._limit)
        self.outcome.busy += used * (now - since)
        self.outcome.allowed += self._limit * (now - since)
        second = int(since)
        while second < now:
            end = min(now, second + 1)
            self.outcome.busy_by_second[second] += used * (end - max(since, second))
            second += 1
