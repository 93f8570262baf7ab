"""The timers of one attempt, on one event-loop timer that is armed again only when it fires.

A read timeout alone cannot see a DeepSeek hang: while a request is queued the server sends blank lines or
``: keep-alive`` comments for up to ten minutes, and every such byte resets a read timeout. So life signs
(any byte) and progress (content, reasoning, tool call) are timed apart.

An event loop that stands still reads nothing, and its timers fire before what came meanwhile has been looked at. So
such time is not counted, as far as it is noticed, and the last word is spoken after the loop has read what there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Final

import msgspec

from deepseek_async.errors import APITimeoutError, ConfigurationError

_LATE: Final = 0.25
"""Seconds by which the loop may run late before our own lateness is taken off the server's time."""

_STEPS: Final = 4
"""Into how many waits each timer is cut, to notice a loop that stood still during one of them."""

_TURNS: Final = 16
"""Turns of the loop before a timer that ran out is believed: a turn reads 64 KiB of a connection at most, uvloop reads
after its timers, and making a connection takes several."""

_CALLERS_TIME: Final = 0.05
"""Seconds between two reads from which on the pause is the caller's, who was busy with the chunks."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """How long each wait of a call may last, in seconds.

    Raises ConfigurationError, naming the field, for a value that is not above zero.
    """

    connect: float = 10.0
    """The server's name, TCP and TLS, and the way through a proxy."""
    headers: float = 120.0
    """From sending until the head of the response; the API takes 0.3 to 0.5 s even when it queues."""
    first_content: float = 620.0
    """From sending until the first content; the API gives up by itself after 600 s (DeepSeek docs, Rate Limit)."""
    idle: float = 120.0
    """Without any byte; keep-alives were seen about every 13 s."""
    stall: float = 120.0
    """After the first content, without further content; keep-alives do not count."""
    attempt: float = 1800.0
    """One attempt as a whole; the longest thinking answers measured took about ten minutes."""
    total: float | None = None
    """The whole call with its queueing, back-off and all attempts; None for no bound of its own."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise ConfigurationError(f"timeout.{name} must be seconds, not {value!r}")
            if value is not None and not value > 0:
                raise ConfigurationError(f"timeout.{name} must be above 0 seconds, not {value!r}")
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            # Left alone, it does not contradict a shorter attempt: it then never runs out.
            if value > self.attempt and value != default:
                raise ConfigurationError(
                    f"timeout.{name} ({value} s) must not be longer than timeout.attempt ({self.attempt} s)",
                )

    @cached_property
    def shortest(self) -> float:
        """The shortest timer of an attempt: how soon one of them can run out."""
        return min(self.headers, self.first_content, self.idle, self.stall, self.attempt)


class Watchdog(msgspec.Struct, gc=False, eq=False):
    """Watches one attempt. ``guard`` says what to break when a timer runs out; ``failure`` says which one did.

    Like all that lives as long as an attempt it is a struct outside the cyclic collector, whose cost at many
    calls in flight grows with the number of objects alive. ``stop`` breaks the one cycle, through ``guard``.
    """

    _timeouts: Timeouts
    _loop: asyncio.AbstractEventLoop
    until: float | None = None
    """Deadline of the whole call, in the loop's time."""
    _started: float = 0.0
    _sent: float = 0.0
    _life: float = 0.0
    _content: float = 0.0
    _scheduled: float = 0.0
    _headers: bool = False
    _streaming: bool = False
    _waiting: bool = True
    _break: Callable[[], object] | None = None
    _handle: asyncio.Handle | None = None
    expired: str | None = None
    """Name of the timer that ran out."""
    way: str | None = None
    """What stands between this machine and the server, for the error."""

    def __post_init__(self) -> None:
        self._started = self._life = self._loop.time()

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    def guard(self, break_wait: Callable[[], object]) -> None:
        """From now on call ``break_wait`` when a timer runs out."""
        self._break = break_wait
        if self._handle is None:
            self._arm(self._soonest(self._started))

    def sent(self, break_wait: Callable[[], object]) -> None:
        """There is a connection, and the request goes out. ``break_wait`` is called when a timer runs out."""
        self._break = break_wait
        self._sent = self._loop.time()

    def head_arrived(self, *, streaming: bool) -> None:
        """The response's head is there; from now on bytes and content are timed."""
        self._headers = True
        self._streaming = streaming
        self._sent = self._sent or self._started
        self._life = self._loop.time()

    def waiting(self) -> None:
        """We begin to wait for bytes. What passed since the last ones was the caller's time, not the server's."""
        now = self._loop.time()
        pause = now - self._life
        if pause > _CALLERS_TIME:
            self._started += pause
            self._sent += pause
            self._life = now
            if self._content:
                self._content += pause
        self._waiting = True

    def alive(self, *, progressed: bool = False) -> None:
        """Some byte arrived; ``progressed``: with content, reasoning or a tool call in it."""
        self._life = self._loop.time()
        self._waiting = False
        if progressed:
            self._content = self._life

    def stop(self) -> None:
        """No more to watch."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._break = None

    def failure(self) -> APITimeoutError:
        """The error for the timer that ran out."""
        phase = self.expired or "total"
        waited = self._loop.time() - self._started
        way = f", {self.way}" if self.way else ""
        return APITimeoutError(
            f"{_MEANING[phase]} (timeout.{phase}; {waited:.1f} s since the attempt began{way})",
            phase=phase,
            connected=self._headers,
            retryable=phase != "total",
        )

    def _next(self) -> tuple[float, str]:
        timeouts = self._timeouts
        due = self._started + timeouts.attempt, "attempt"
        if self._headers:
            due = min(due, (self._life + timeouts.idle, "idle"))
            if self._content:
                due = min(due, (self._content + timeouts.stall, "stall"))
            elif self._streaming:
                due = min(due, (self._sent + timeouts.first_content, "first_content"))
        elif self._sent:
            due = min(due, (self._sent + timeouts.headers, "headers"))
        else:
            due = min(due, (self._started + timeouts.connect, "connect"))
        if self.until is not None:
            due = min(due, (self.until, "total"))
        return due

    def _soonest(self, now: float) -> float:
        """When to look again at the latest, whichever timer begins to count now."""
        wait = self._timeouts.shortest
        if not self._sent and self._timeouts.connect < wait:
            wait = self._timeouts.connect
        due = now + wait / _STEPS
        return self.until if self.until is not None and now < self.until < due else due

    def _arm(self, due: float) -> None:
        self._scheduled = due
        self._handle = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        now = self._loop.time()
        late = now - max(self._scheduled, self._started)
        if late > _LATE:
            # The loop was blocked, or the process stopped.
            self._started += late
            self._life += late
            if self._sent:
                self._sent += late
            if self._content:
                self._content += late
        self._judge(_TURNS)

    def _judge(self, turns: int) -> None:
        """Break the wait if a timer ran out, and in so many ``turns`` of the loop nothing comes that changes it."""
        now = self._loop.time()
        due, name = self._next()
        if not self._waiting or due > now:
            soonest = self._soonest(now)
            self._arm(min(due, soonest) if self._waiting else soonest)
        elif turns:
            self._handle = self._loop.call_soon(self._judge, turns - 1)
        else:
            self._handle = None
            self.expired = name
            if self._break is not None:
                self._break()


_DEFAULTS: Final = {"connect": 10.0, "headers": 120.0, "first_content": 620.0, "idle": 120.0, "stall": 120.0}

_MEANING: Final = {
    "connect": "there was no connection in time",
    "headers": "the server accepted the request and sent no response head",
    "first_content": "the server kept the request queued and sent no content",
    "idle": "the server sent nothing at all",
    "stall": "the answer stopped in the middle",
    "attempt": "the attempt took too long",
    "total": "the call's deadline passed",
}
