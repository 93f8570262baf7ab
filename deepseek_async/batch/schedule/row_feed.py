"""Row feed: async iterator that passes rows to the dispatcher in the scheduled order and hours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec

from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row
from deepseek_async.batch.schedule.off_peak import Durations, OffPeak
from deepseek_async.batch.schedule.prefix import NO_PREFIX, prefix_of
from deepseek_async.batch.schedule.prefix_scheduler import PrefixScheduler, Ticket

Order = Literal["prefix", "input"]
"""``prefix``: rows with a common prefix follow a leader that puts it into the server's cache."""

Window = Literal["any", "off-peak"]
"""Hours in which rows may start."""

_AHEAD: Final = 32
"""Rows read at a time: read one by one, between requests, a row took 10 µs more of about 120
(scripts/bench --scenario bulk_cpu)."""

_SLICE: Final = 60.0
"""Longest single sleep, in seconds: after a suspend or a clock change, the time is checked again."""

_CHURN: Final = (
    "the API's prefix cache returned less than half of the predicted hits; the remaining rows were sent in input order"
)
_LONGEST_MARGIN: Final = 1800.0
_LEADER_FLOOR: Final = 30.0
_LEADER_FACTOR: Final = 4.0
"""A leader is overdue after 30 s, or after four times the 90th percentile of request durations if that is longer."""


class Clock(Protocol):
    """Wall clock, which determines prices."""

    def time(self) -> float:
        """Return seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``."""


class SystemClock:
    """The system clock."""

    @staticmethod
    def time() -> float:
        """Return seconds since 1970."""
        return time.time()

    @staticmethod
    async def sleep(seconds: float) -> None:
        """Sleep for ``seconds``."""
        await asyncio.sleep(seconds)


class _HasRow(Protocol):
    @property
    def row(self) -> Row: ...


In = TypeVar("In", bound=_HasRow)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Order and hours in which the rows of a job are sent."""

    order: Order = "prefix"
    hours: OffPeak | None = None
    """None for any hours."""
    clock: Clock = SystemClock()

    def feed(
        self, rows: Iterator[In], remaining: Callable[[], int | None], concurrency: int | Callable[[], int]
    ) -> RowFeed[In]:
        """Create the feed for a dispatcher."""
        return RowFeed(
            rows,
            order=self.order,
            hours=self.hours,
            clock=self.clock,
            remaining=remaining,
            concurrency=concurrency,
        )


class RowFeed(AsyncIterator[Ticket[In]], Generic[In]):
    """An iterator over tickets for the rows of ``source``; report each row's end with ``ended``.

    - ``hours``: when rows may start; None for any time.
    - ``remaining``: rows that have not ended, if known; with ``concurrency``, tells whether the off-peak
      hours before a deadline suffice.

    Errors of the source are raised after the rows pulled before.
    """

    safe_for_many = True
    """Whether several tasks may await the next ticket concurrently."""

    def __init__(
        self,
        source: Iterator[In],
        *,
        order: Order,
        hours: OffPeak | None = None,
        clock: Clock,
        remaining: Callable[[], int | None],
        concurrency: int | Callable[[], int],
    ) -> None:
        self._source = source
        self._ordering = order == "prefix"
        self._hours = hours
        self._remaining = remaining
        self._concurrency = concurrency
        self._clock = clock
        self._lineup: PrefixScheduler[In] = PrefixScheduler()
        self._durations = Durations()
        self._exhausted = self._stopped = False
        self._failure: Exception | None = None
        self._woken = asyncio.Event()
        self._open_until = float("-inf")
        self._began: float | None = None
        self._paused = 0.0
        self._answered = 0
        self._since: dict[Ticket[In], float] = {}
        self.resumes_at: float | None = None
        """Start of the off-peak hours that rows wait for, in seconds since 1970; None if they do not wait."""

    @property
    def predicted(self) -> int:
        """Predicted cache hit tokens of the answered rows."""
        return self._lineup.predicted

    def warnings(self) -> list[str]:
        """Problems of the schedule."""
        return [_CHURN] if self._lineup.given_up else []

    def stop(self) -> None:
        """Return no more rows, and end all waits."""
        self._stopped = True
        self.resumes_at = None
        self._woken.set()

    def at_once(self) -> Ticket[In] | None:
        """Return a ticket that may be sent now; None if one must be awaited with ``anext``, or there is none."""
        return None if self._stopped or self._hours is not None else self._take()

    async def __anext__(self) -> Ticket[In]:
        lineup = self._lineup
        while not self._stopped:
            if not (len(lineup) or self._exhausted):
                # First of all: nothing should sleep until the evening for a row that does not exist.
                self._pull()
            if not len(lineup):
                break
            if self._hours is not None and (pause := self._pause(self._hours)):
                await self._sleep(pause)
            elif (ticket := self._take()) is not None:
                return ticket
            else:
                await self._until_something_ends()
        if self._failure is not None and not self._stopped:
            raise self._failure
        raise StopAsyncIteration

    def _take(self) -> Ticket[In] | None:
        """Return the next ticket; None if no row is left, or all queued rows wait for leaders."""
        lineup = self._lineup
        while (ticket := lineup.take()) is None:
            if self._exhausted or lineup.full:
                return None
            self._pull()
        if ticket.prefix.keys:
            self._since[ticket] = asyncio.get_running_loop().time()
        return ticket

    def ended(self, ticket: Ticket[In], result: BatchResult) -> None:
        """Report the end of the ticket's row; its followers may go."""
        ordered = bool(ticket.prefix.keys)
        if not ordered and self._hours is None:
            return  # no followers, and its duration is not needed
        if result.attempts:
            self._answered += 1
            self._durations.add(result.latency)
        if ordered:
            del self._since[ticket]
            usage = result.usage
            if usage is not None and ticket.shared:
                promised = self._lineup.judge(ticket, usage.prompt_tokens, usage.cached_tokens)
                result.predicted_cached_tokens = promised
            self._lineup.ended(ticket, answered=result.ok)
            self._woken.set()

    def _pull(self) -> None:
        """Read the next rows into the queue."""
        lineup = self._lineup
        try:
            for _ in range(_AHEAD):
                row = next(self._source)
                body, endpoint = row.row.body, row.row.endpoint
                if endpoint is not None and body is not None:
                    body = endpoint.conversation(body)
                ordered = self._ordering and body is not None and not lineup.given_up
                lineup.add(row, prefix_of(body) if ordered and body is not None else NO_PREFIX)
        except StopIteration:
            self._exhausted = True
        except Exception as failure:  # noqa: BLE001  raised after the rows before it were sent
            self._exhausted = True
            self._failure = failure

    async def _until_something_ends(self) -> None:
        """Wait until a row ends or a leader is overdue; every queued row waits for a leader."""
        loop = asyncio.get_running_loop()
        patience = max(_LEADER_FLOOR, _LEADER_FACTOR * self._durations.typical)
        waited_for = [ticket for ticket in self._since if self._lineup.is_awaited(ticket)]
        end = min((self._since[ticket] for ticket in waited_for), default=loop.time()) + patience
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._woken.wait()
            return
        for ticket in waited_for:
            if self._since.get(ticket, end) + patience <= loop.time():
                self._lineup.overdue(ticket)

    def _pause(self, hours: OffPeak) -> float:
        """Return the seconds to wait before a row may start; 0 if it may start now."""
        now = self._clock.time()
        if self._began is None:
            self._began = now
        if now < self._open_until:
            return 0.0
        margin = min(self._durations.typical, _LONGEST_MARGIN)
        opening = hours.opening(now, margin=margin, needed=self._needed(now))
        if opening > now:
            self.resumes_at = opening
            return opening - now
        self.resumes_at = None
        # The margin changes with request durations, so it is checked again soon.
        self._open_until = min(hours.closing(now, margin=margin), now + 1.0)
        return 0.0

    def _needed(self, now: float) -> float:
        """Return the seconds needed for the remaining rows at the current speed."""
        remaining = self._remaining()
        if not remaining:
            return 0.0
        active = now - (self._began or now) - self._paused
        if self._answered and active > 0:
            return remaining * active / self._answered
        concurrency = self._concurrency() if callable(self._concurrency) else self._concurrency
        return max(1.0, remaining / concurrency) * self._durations.typical

    async def _sleep(self, seconds: float) -> None:
        began = self._clock.time()
        self._woken.clear()
        sleeping = asyncio.ensure_future(self._clock.sleep(min(seconds, _SLICE)))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeping, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            woken.cancel()
            await asyncio.gather(sleeping, woken, return_exceptions=True)
        self._paused += self._clock.time() - began
