"""Many rows at a time through one piece of work; input pulled when there is room, results as they end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Generic, TypeVar

from deepseek_async.errors import RowsLostError

In = TypeVar("In")
Out = TypeVar("Out")

_ORDERED_WINDOW: Final = 4
"""Rows that may be under way or wait for an earlier one, in multiples of the concurrency: enough for a slow
row not to hold up the others at once, and a bound on what waits behind it."""

_UNORDERED_WINDOW: Final = 2

_FOLLOWED: Final = 0.1
"""Seconds between two looks at a limit that moves ..."""
_GROWING: Final = 0.02
"""... and while it grows, which it does with each round trip."""


class Dispatcher(Generic[In, Out]):
    """Runs ``work`` over ``source`` with up to ``concurrency`` rows at a time.

    Memory is bounded by the concurrency: a row is pulled only when there is room in the window, and its place
    there is free again when its result has been taken. ``work`` must not raise but for what ends the job.
    ``ended`` is told of a result at once, before the next row is begun, and must not raise either. ``waits`` says of a
    row that nothing would be lost with it: once stopped, such rows are given back, and have no result.
    """

    def __init__(
        self,
        source: Iterable[In] | AsyncIterable[In],
        work: Callable[[In], Awaitable[Out]],
        *,
        ended: Callable[[In, Out], None] | None = None,
        concurrency: int | Callable[[], int],
        ordered: bool = False,
        waits: Callable[[In], bool] | None = None,
    ) -> None:
        self._rows = _Rows(source)
        self._work = work
        self._ended = ended
        self._concurrency = concurrency
        self._ordered = ordered
        self._waits = waits
        self._limit = 0
        """The concurrency at the last look."""
        self._window = 0
        """Rows that may be claimed and not taken."""
        self._claimed = 0
        """Rows that were pulled, and those being asked for."""
        self._pulled = 0
        self._taken = 0
        """Rows whose results have been taken."""
        self._working = 0
        """Workers that have not decided to leave, also those that are about to be started."""
        self._workers: dict[asyncio.Task[None], In | None] = {}
        """Each with its row."""
        self._given_back: set[asyncio.Task[None]] = set()
        self._returned = 0
        self._ready: deque[tuple[In, Out]] = deque()
        self._early: dict[int, tuple[In, Out] | None] = {}
        """Results that wait for those of earlier rows; None for a row that was given back."""
        self._released = 0
        self._leaving = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self.in_flight = 0
        """Rows that are being worked on."""
        self.cancelled: list[In] = []
        """Rows whose work was cancelled, because nobody waits for results any more."""

    @property
    def staying(self) -> int:
        """Rows that are being worked on, without those that are given back."""
        return self.in_flight - len(self._given_back)

    def stop(self) -> None:
        """Pull no more rows; those under way are finished, but for those that only wait."""
        self._rows.stop()
        if self._waits is not None and self._look is None:
            self._give_back(self._waits)

    def _give_back(self, waits: Callable[[In], bool]) -> None:
        """End what waits now, and look again soon: what is under way may fail and wait to be tried again."""
        for worker, row in self._workers.items():
            if row is not None and worker not in self._given_back and waits(row):
                self._given_back.add(worker)
                worker.cancel()
        self._look = asyncio.get_running_loop().call_later(_FOLLOWED, self._give_back, waits)

    def untaken(self) -> Iterator[tuple[In, Out]]:
        """Rows and results that nobody had taken when ``results`` was left early, those held for earlier rows too."""
        while self._ready:
            yield self._ready.popleft()
        for position in sorted(self._early):
            if (end := self._early.pop(position)) is not None:
                yield end

    async def results(self) -> AsyncGenerator[tuple[In, Out], None]:
        """Rows and results as they end, or in the order of the rows. Leaving early cancels what is under way.

        What the source raises is raised after the rows under way have ended; what ``work`` raises, at once.
        Raises RowsLostError if work was to end with a row unread or without a result.
        """
        self._follow_limit()
        try:
            while self._working or self._ready:
                while self._ready:
                    yield self._ready.popleft()
                    self._taken += 1
                    self._bring_in_worker()
                if self._failure is not None:
                    raise self._failure
                if self._working:
                    self._wake.clear()
                    await self._wake.wait()
            failure = self._failure or self._rows.failure
            if failure is not None:
                raise failure
            self._check_conserved()
        finally:
            for timer in (self._timer, self._look):
                if timer is not None:
                    timer.cancel()
            await self._cancel_workers()

    def _check_conserved(self) -> None:
        """Rows read are results given, and no row is unread: a fault of ours must not look like success."""
        if self._taken + self._returned != self._pulled or not self._rows.ended:
            more = "" if self._rows.ended else " and the source was not at its end"
            raise RowsLostError(
                f"{self._pulled:,} rows were read and {self._taken:,} have a result{more}. This is a fault of the "
                "library; please report it",
                read=self._pulled,
                ended=self._taken,
            )

    def _follow_limit(self) -> None:
        """Take over a limit that has moved. Asked again and again, because it grows while every worker waits."""
        before = self._limit
        self._limit = max(1, self._concurrency() if callable(self._concurrency) else self._concurrency)
        self._window = self._limit * (_ORDERED_WINDOW if self._ordered else _UNORDERED_WINDOW)
        self._bring_in_worker()
        if callable(self._concurrency):
            self._timer = asyncio.get_running_loop().call_later(
                _GROWING if self._limit > before else _FOLLOWED, self._follow_limit
            )

    def _has_room(self) -> bool:
        return self._claimed - self._taken < self._window and not self._rows.ended

    def _bring_in_worker(self) -> None:
        """Start one more worker if it may work. It counts from now on."""
        if self._working < self._limit and self._has_room():
            self._working += 1
            # In a turn of its own: with eager tasks (Python 3.12) one worker would begin inside the other.
            asyncio.get_running_loop().call_soon(self._start_worker)

    def _start_worker(self) -> None:
        if self._leaving:
            self._working -= 1
            return
        worker = asyncio.create_task(self._run())
        self._workers.setdefault(worker, None)  # an eager one has a row by now
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.pop(worker, None)
        if worker.cancelled():
            # Before its first step, or ``_run`` would have caught it.
            self._failed(asyncio.CancelledError())
            self._leave()

    async def _run(self) -> None:
        rows, workers, me = self._rows, self._workers, asyncio.current_task()
        assert me is not None  # noqa: S101  a worker is a task
        try:
            # A worker leaves when the limit has shrunk or the window is full; who takes a result brings in another.
            while self._working <= self._limit and self._has_room():
                self._claimed += 1
                row = rows.at_once()
                if row is _Later.LATER:
                    try:
                        row = await anext(rows)
                    except StopAsyncIteration:
                        self._claimed -= 1
                        break
                position, self._pulled = self._pulled, self._pulled + 1
                # One worker brings in the next, so three rows do not start a thousand tasks.
                self._bring_in_worker()
                self.in_flight += 1
                workers[me] = row
                try:
                    result = await self._work(row)
                except asyncio.CancelledError:
                    self.cancelled.append(row)
                    if me not in self._given_back:
                        raise
                    self._given_back.discard(me)
                    self._returned += 1
                    self._finish(position, None)
                    break
                finally:
                    self.in_flight -= 1
                    workers[me] = None
                if self._ended is not None:
                    self._ended(row, result)
                self._finish(position, (row, result))
        except BaseException as failure:  # noqa: BLE001  handed to the consumer, who raises it
            self._failed(failure)
        self._leave()

    def _leave(self) -> None:
        """A worker counts no more: at once, so that others which end in the same turn of the loop stay."""
        self._working -= 1
        self._wake.set()

    def _failed(self, failure: BaseException) -> None:
        if not self._leaving and self._failure is None:
            if isinstance(failure, asyncio.CancelledError):
                # Nobody has cancelled who takes the results: as a cancellation it would end that task without a word.
                failure = RowsLostError("a row was cancelled by other code while it was being answered")
            self._failure = failure
        self._rows.ended = True

    def _finish(self, position: int, end: tuple[In, Out] | None) -> None:
        ready = self._ready
        if self._ordered:
            self._early[position] = end
            while self._released in self._early:
                if (released := self._early.pop(self._released)) is not None:
                    ready.append(released)
                self._released += 1
        elif end is not None:
            ready.append(end)
        self._wake.set()

    async def _cancel_workers(self) -> None:
        self._leaving = self._rows.ended = True
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


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
