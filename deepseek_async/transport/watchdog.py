"""Timeouts of one attempt, on a single event-loop timer that is re-armed only when it fires.

A read timeout cannot detect a DeepSeek hang: while a request is queued, the server sends blank lines or
``: keep-alive`` comments for up to ten minutes, and every byte resets a read timeout. So activity (any byte) and
progress (content, reasoning, tool call) are timed separately.

A blocked event loop reads nothing, and its timers fire before pending data is read. Detected block time is therefore
not counted, and a timeout is final only after the loop has read all pending data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from deepseek_async.errors import APITimeoutError
from deepseek_async.transport.timeouts import Timeouts

_LATE: Final = 0.25
"""Delay of the loop in seconds above which the delay is subtracted from the server's time."""

_STEPS: Final = 4
"""Intervals per timer, to detect a loop that was blocked during one of them."""

_TURNS: Final = 16
"""Loop iterations before a timeout is final: an iteration reads at most 64 KiB per connection, uvloop reads after
its timers, and establishing a connection takes several."""

_CALLERS_TIME: Final = 0.05
"""Pause in seconds between two reads from which it counts as the caller's processing time."""


class Watchdog(msgspec.Struct, gc=False, eq=False):
    """Watches one attempt. ``guard`` registers how to break the wait; ``failure`` returns the error of the timer.

    Like everything that lives as long as an attempt, it is a struct exempt from the cyclic garbage collector, whose
    cost grows with the number of tracked objects. ``stop`` breaks the one reference cycle, through ``guard``.
    """

    _timeouts: Timeouts
    _loop: asyncio.AbstractEventLoop
    until: float | None = None
    """Deadline of the whole call, in loop time."""
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
    """Name of the expired timer."""
    way: str | None = None
    """Proxy between this machine and the server, for the error."""

    def __post_init__(self) -> None:
        self._started = self._life = self._loop.time()

    # A struct's default repr would expose the server's data in tracebacks with locals.
    __repr__ = object.__repr__

    def guard(self, break_wait: Callable[[], object]) -> None:
        """Set ``break_wait`` as the function to call on expiry."""
        self._break = break_wait
        if self._handle is None:
            self._arm(self._soonest(self._started))

    def sent(self, break_wait: Callable[[], object]) -> None:
        """Start the timers of the request, on an open connection. ``break_wait`` is called on expiry."""
        self._break = break_wait
        self._sent = self._loop.time()

    def head_arrived(self, *, streaming: bool) -> None:
        """Record the response head; from now on bytes and content are timed."""
        self._headers = True
        self._streaming = streaming
        self._sent = self._sent or self._started
        self._life = self._loop.time()

    def waiting(self) -> None:
        """Start waiting for bytes. The time since the last bytes was the caller's, not the server's."""
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
        """Record activity; ``progressed`` if it contained content, reasoning or a tool call."""
        self._life = self._loop.time()
        self._waiting = False
        if progressed:
            self._content = self._life

    def stop(self) -> None:
        """Stop all timers."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._break = None

    def failure(self) -> APITimeoutError:
        """Return the error of the expired timer."""
        phase = self.expired or "total"
        waited = self._loop.time() - self._started
        way = f", {self.way}" if self.way else ""
        return APITimeoutError(
            f"{_MEANING[phase]} (timeout.{phase}; {waited:.1f} s since the attempt started{way})",
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
        """Return the latest time of the next check, whichever timer starts next."""
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
            # The loop was blocked, or the process was suspended.
            self._started += late
            self._life += late
            if self._sent:
                self._sent += late
            if self._content:
                self._content += late
        self._judge(_TURNS)

    def _judge(self, turns: int) -> None:
        """Break the wait if a timer is expired and stays so for ``turns`` loop iterations."""
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


_MEANING: Final = {
    "connect": "connect timed out",
    "headers": "no response head after the request was sent",
    "first_content": "no content while the server kept the request queued",
    "idle": "no bytes from the server",
    "stall": "no further content from the server",
    "attempt": "attempt timed out",
    "total": "call deadline exceeded",
}
