"""The timers of an attempt, on a clock that the test moves."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest

from deepseek_async import ConfigurationError, Timeouts
from deepseek_async.transport.watchdog import Watchdog

TIMERS = Timeouts(headers=10, first_content=60, idle=20, stall=30, attempt=200)


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """The part of an event loop that a watchdog uses; ``pass_time`` fires what is due, in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.heap: list[tuple[float, int, Handle, Callable[[], None]]] = []
        self.armed = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        handle = Handle()
        self.armed += 1
        heapq.heappush(self.heap, (when, self.armed, handle, callback))
        return handle

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> Handle:
        return self.call_at(self.now, lambda: callback(*arguments))

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.heap and self.heap[0][0] <= until:
            when, _, handle, callback = heapq.heappop(self.heap)
            self.now = max(self.now, when)
            if not handle.cancelled:
                callback()
        self.now = until

    def stall(self, seconds: float) -> None:
        """The whole process stands still: nothing fires until it is over."""
        self.now += seconds
        while self.heap and self.heap[0][0] <= self.now:
            _, _, handle, callback = heapq.heappop(self.heap)
            if not handle.cancelled:
                callback()


class Watched:
    def __init__(self, timers: Timeouts = TIMERS, until: float | None = None) -> None:
        self.clock = Clock()
        self.broken = 0
        self.dog = Watchdog(timers, self.clock, until=until)
        self.dog.guard(self.break_wait)

    def sent(self) -> Watched:
        self.dog.sent(self.break_wait)
        return self

    def break_wait(self) -> None:
        self.broken += 1

    def head(self, *, streaming: bool = True) -> None:
        self.sent()
        self.dog.head_arrived(streaming=streaming)
        self.dog.waiting()

    def receive(self, *, content: bool) -> None:
        self.dog.alive()
        if content:
            self.dog.alive(progressed=True)
        self.dog.waiting()


def test_no_connection_in_time_breaks_the_wait():
    watched = Watched(Timeouts(connect=5))
    watched.clock.pass_time(4.9)
    assert watched.broken == 0
    watched.clock.pass_time(0.2)
    assert (watched.broken, watched.dog.expired) == (1, "connect")


def test_the_head_and_the_first_content_are_waited_for_from_sending():
    watched = Watched()
    watched.clock.pass_time(8)
    watched.sent()
    watched.clock.pass_time(9.9)
    assert watched.broken == 0
    watched.clock.pass_time(0.2)
    assert watched.dog.expired == "headers"


def test_no_head_in_time_breaks_the_wait_once():
    watched = Watched().sent()
    watched.clock.pass_time(9.9)
    assert watched.broken == 0
    watched.clock.pass_time(0.2)
    assert (watched.broken, watched.dog.expired) == (1, "headers")
    watched.clock.pass_time(1000)
    assert watched.broken == 1
    failure = watched.dog.failure()
    assert (failure.phase, failure.connected, failure.retryable) == ("headers", False, True)
    assert "timeout.headers" in str(failure)


def test_keep_alives_hold_off_the_idle_timer_and_not_the_first_content_timer():
    watched = Watched()
    watched.head()
    for _ in range(6):
        watched.clock.pass_time(9.9)
        watched.receive(content=False)
        assert watched.broken == 0
    watched.clock.pass_time(1)
    assert (watched.broken, watched.dog.expired) == (1, "first_content")
    assert watched.dog.failure().connected


def test_silence_meets_the_idle_timer_however_long_the_others_are():
    watched = Watched(Timeouts(idle=5))
    watched.head()
    watched.clock.pass_time(4.9)
    assert watched.broken == 0
    watched.clock.pass_time(0.2)
    assert watched.dog.expired == "idle"


def test_keep_alives_after_content_meet_the_stall_timer():
    watched = Watched()
    watched.head()
    watched.receive(content=True)
    for _ in range(6):
        watched.clock.pass_time(4.9)
        watched.receive(content=False)
    assert watched.broken == 0
    watched.clock.pass_time(1)
    assert watched.dog.expired == "stall"


def test_steady_content_meets_only_the_attempt_timer():
    watched = Watched()
    watched.head()
    for _ in range(39):
        watched.clock.pass_time(5)
        watched.receive(content=True)
    assert watched.broken == 0
    watched.clock.pass_time(6)
    assert watched.dog.expired == "attempt"


def test_a_plain_answer_has_no_first_content_timer():
    watched = Watched()
    watched.head(streaming=False)
    for _ in range(12):
        watched.clock.pass_time(15)
        watched.receive(content=False)
    assert watched.broken == 0


def test_the_deadline_of_the_call_comes_first():
    watched = Watched(until=1003.0)
    watched.clock.pass_time(3.1)
    assert watched.dog.expired == "total"
    assert not watched.dog.failure().retryable


def test_time_that_the_caller_spends_on_the_chunks_counts_for_no_timer():
    watched = Watched()
    watched.head()
    for _ in range(20):
        watched.dog.alive()
        watched.dog.alive(progressed=True)
        watched.clock.pass_time(500)
        watched.dog.waiting()
        watched.clock.pass_time(5)
    assert watched.broken == 0


def test_a_loop_that_stood_still_is_not_the_servers_fault():
    watched = Watched()
    watched.head()
    watched.clock.stall(500)
    assert watched.broken == 0
    watched.clock.pass_time(1)
    assert watched.broken == 0
    watched.clock.pass_time(21)
    assert watched.dog.expired == "idle"


@pytest.mark.parametrize("name", ["connect", "headers", "first_content", "idle", "stall", "attempt"])
@pytest.mark.parametrize("ago", [0, 1, 60], ids=lambda ago: f"after {ago} s")
def test_a_loop_that_stood_still_leaves_every_timer_most_of_its_time(name: str, ago: float):
    watched = Watched(Timeouts(**{name: 100.0, "attempt": 100.0 if name == "attempt" else 1800.0}))
    if name != "connect":
        watched.sent()
    if name in {"first_content", "idle", "stall"}:
        watched.head()
    if name == "stall":
        watched.receive(content=True)
    watched.clock.pass_time(ago)
    watched.clock.stall(500)
    assert watched.broken == 0
    watched.clock.pass_time(100 - ago - 26)
    assert watched.broken == 0
    watched.clock.pass_time(130)
    assert watched.dog.expired == name


@pytest.mark.parametrize("name", ["connect", "headers", "first_content", "idle", "stall", "attempt", "total"])
def test_what_the_loop_reads_before_a_turn_is_over_is_in_time(name: str):
    watched = Watched(Timeouts(**{} if name == "total" else {name: 100.0}), until=1100.0 if name == "total" else None)
    if name != "connect":
        watched.sent()
    if name in {"first_content", "idle", "stall"}:
        watched.head()
    if name == "stall":
        watched.receive(content=True)
    clock = watched.clock
    clock.pass_time(99.9)
    # The timers fire first in the turn, and what came meanwhile is read after them.
    answered = {
        "connect": watched.sent,
        "headers": watched.head,
        "first_content": lambda: watched.receive(content=True),
        "idle": lambda: watched.receive(content=False),
        "stall": lambda: watched.receive(content=True),
        "attempt": watched.dog.stop,
        "total": watched.dog.stop,
    }
    clock.call_at(1100.0001, answered[name])
    clock.stall(0.2)
    assert watched.broken == 0
    assert watched.dog.expired is None


def test_a_caller_busy_past_the_deadline_of_the_call_costs_no_turns_of_the_loop():
    watched = Watched(until=1003.0)
    watched.head()
    watched.dog.alive()
    watched.clock.pass_time(10)
    assert watched.clock.armed < 20


def test_a_stopped_watchdog_breaks_nothing():
    watched = Watched()
    watched.dog.stop()
    watched.dog.stop()
    watched.clock.pass_time(10_000)
    assert watched.broken == 0


def test_timers_that_do_not_fire_cost_no_arming_for_each_chunk():
    watched = Watched()
    watched.head()
    for _ in range(10_000):
        watched.clock.pass_time(0.001)
        watched.receive(content=True)
    assert watched.clock.armed < 10


@pytest.mark.parametrize("name", Timeouts.__struct_fields__)
def test_a_timer_of_zero_is_refused_by_name(name: str):
    with pytest.raises(ConfigurationError, match=name):
        Timeouts(**{name: 0})
