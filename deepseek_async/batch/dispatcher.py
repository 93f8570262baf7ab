"""Many rows at a time through one piece of work; input pulled when there is room, results as they end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

_ORDERED_WINDOW: Final = 4
"""Rows that may be under way or wait for an earlier one, in multiples of the concurrency: enough for a slow
row not to hold up the others at once, and a bound on what waits behind it."""

_UNORDERED_WINDOW: Final = 2

_FOLLOWED: Final = 0.1
"""Seconds between two looks at a limit that moves; it grows by some ten per cent in that time at most."""


class Dispatcher(Generic[In, Out]):
    """Runs ``work`` over ``source`` with up to ``concurrency`` rows at a time.

    Memory is bounded by the concurrency: a row is pulled only when there is room in the window, and its place
    there is free again when its result has been taken. ``work`` must not raise but for what ends the job.
    ``ended`` is told of a result at once, before the next row is begun, and must not raise either.
    """

    def __init__(
        self,
        source: Iterable[In] | AsyncIterable[In],
        work: Callable[[In], Awaitable[Out]],
        *,
        ended: Callable[[In, Out], None] | None = None,
        concurrency: int | Callable[[], int],
        ordered: bool = False,
    ) -> None:
        self._rows = _Rows(source)
        self._work = work
        self._ended = ended
        self._concurrency = concurrency
        self._limit: int = 0
        """The concurrency at the last look."""
        self._ordered = ordered
        self._places = _Places()
        self._workers: set[asyncio.Task[None]] = set()
        self._ready: deque[tuple[In, Out]] = deque()
        self._early: dict[int, tuple[In, Out]] = {}
        self._pulled = 0
        self._released = 0
        self._leaving = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.in_flight = 0
        """Rows that are being worked on."""

    def stop(self) -> None:
        """Pull no more rows; those under way are finished."""
        self._rows.stop()

    def untaken(self) -> Iterator[tuple[In, Out]]:
        """Rows and results that nobody had taken when ``results`` was left early, those held for earlier rows too."""
        while self._ready:
            yield self._ready.popleft()
        for position in sorted(self._early):
            yield self._early.pop(position)

    async def results(self) -> AsyncGenerator[tuple[In, Out], None]:
        """Rows and results as they end, or in the order of the rows. Leaving early cancels what is under way.

        What the source raises is raised after the rows under way have ended; what ``work`` raises, at once.
        """
        self._follow_limit()
        self._start_worker()
        try:
            while self._workers or self._ready:
                while self._ready:
                    yield self._ready.popleft()
                    self._places.give_back()
                if self._failure is not None:
                    raise self._failure
                if self._workers:
                    self._wake.clear()
                    await self._wake.wait()
            failure = self._failure or self._rows.failure
            if failure is not None:
                raise failure
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._cancel_workers()

    def _follow_limit(self) -> None:
        """Take over a limit that has moved. Asked again and again, because it grows while every worker waits."""
        limit = self._limit = self._concurrency() if callable(self._concurrency) else self._concurrency
        self._places.resize(limit * (_ORDERED_WINDOW if self._ordered else _UNORDERED_WINDOW))
        if callable(self._concurrency):
            if self._workers and len(self._workers) < limit and not self._rows.ended:
                self._start_worker()
            self._timer = asyncio.get_running_loop().call_later(_FOLLOWED, self._follow_limit)

    def _start_worker(self) -> None:
        worker = asyncio.create_task(self._run())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._wake.set()

    async def _run(self) -> None:
        rows, places = self._rows, self._places
        try:
            while not rows.ended and len(self._workers) <= self._limit:
                if not places.take_now():
                    await places.take()
                row = rows.at_once()
                if row is _Later.LATER:
                    try:
                        row = await anext(rows)
                    except StopAsyncIteration:
                        return
                position, self._pulled = self._pulled, self._pulled + 1
                if len(self._workers) < self._limit:
                    # One worker brings in the next, so three rows do not start a thousand tasks.
                    self._start_worker()
                self.in_flight += 1
                try:
                    result = await self._work(row)
                finally:
                    self.in_flight -= 1
                if self._ended is not None:
                    self._ended(row, result)
                self._finish(position, (row, result))
        except BaseException as failure:  # noqa: BLE001  handed to the consumer, who raises it
            # A worker that somebody else cancelled has lost its row: going on would hide that.
            if not self._leaving:
                self._failure = self._failure or failure
            self._rows.ended = True

    def _finish(self, position: int, end: tuple[In, Out]) -> None:
        ready = self._ready
        if not self._ordered:
            ready.append(end)
        else:
            self._early[position] = end
            while self._released in self._early:
                ready.append(self._early.pop(self._released))
                self._released += 1
        self._wake.set()

    async def _cancel_workers(self) -> None:
        self._leaving = self._rows.ended = True
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


class _Places:
    """Room for rows that were pulled and whose results have not been taken."""

    def __init__(self) -> None:
        self._size = self._target = 0
        self._spare = 0
        self._waiting = 0
        self._given = asyncio.Semaphore(0)
        """Places for those that wait: an await a row is dear where, as mostly, there is room."""

    def take_now(self) -> bool:
        if not self._spare:
            return False
        self._spare -= 1
        return True

    async def take(self) -> None:
        self._waiting += 1
        try:
            await self._given.acquire()
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        if self._size > self._target:
            self._size -= 1
        else:
            self._add()

    def resize(self, target: int) -> None:
        self._target = target
        while self._size < target:
            self._size += 1
            self._add()

    def _add(self) -> None:
        if self._waiting:
            self._given.release()
        else:
            self._spare += 1


class _Later(Enum):
    LATER = "later"


class _Rows(AsyncIterator[In]):
    """One interface over sync and async sources, safe for many pullers at once."""

    def __init__(self, source: Iterable[In] | AsyncIterable[In]) -> None:
        self._sync: Iterator[In] | None = None
        self._async: AsyncIterator[In] | None = None
        if isinstance(source, AsyncIterable):
            self._async = aiter(source)
        else:
            self._sync = iter(source)
        self._at_once: Callable[[], In | None] | None = getattr(source, "at_once", None)
        # An async generator refuses to be advanced by two tasks at once.
        self._turn = None if getattr(source, "safe_for_many", False) else asyncio.Lock()
        self.ended = False
        """Whether no more rows are handed out: the source is at its end, or the dispatcher has stopped."""
        self.failure: Exception | None = None
        """What the source raised."""

    def stop(self) -> None:
        """Hand out no more rows. A source that waits, and has a ``stop`` of its own, is told."""
        self.ended = True
        stop = getattr(self._async, "stop", None)
        if stop is not None:
            stop()

    def at_once(self) -> In | _Later:
        """The next row if nothing has to be waited for; LATER if ``anext`` has to be asked, also for the end."""
        try:
            if self._sync is not None:
                if not self.ended:
                    return next(self._sync)
            elif self._at_once is not None and not self.ended and (row := self._at_once()) is not None:
                return row
        except StopIteration:
            self.ended = True
        except Exception as failure:  # noqa: BLE001  raised to the consumer once the rows under way have ended
            self.failure, self.ended = failure, True
        return _Later.LATER

    async def __anext__(self) -> In:
        try:
            if self._async is not None and self._turn is None:
                if not self.ended:
                    return await anext(self._async)
            elif self._async is not None and self._turn is not None:
                async with self._turn:
                    # Looked at after the wait: those in line behind the last row must not ask again.
                    if not self.ended:
                        return await anext(self._async)
        except StopAsyncIteration:
            pass
        except Exception as failure:  # noqa: BLE001  raised to the consumer once the rows under way have ended
            self.failure = failure
        self.ended = True
        raise StopAsyncIteration
