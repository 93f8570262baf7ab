"""Bounded-concurrency dispatcher: pulls input when there is room and yields results as they finish."""

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
"""Rows in flight or held for an earlier one, as a multiple of the concurrency: enough that a slow row does not
block the others at once, and a bound on the rows queued behind it."""

_UNORDERED_WINDOW: Final = 2

_FOLLOWED: Final = 0.1
"""Seconds between two checks of a limit that changes ..."""
_GROWING: Final = 0.02
"""... and while it grows, which it does once per round trip."""


class Dispatcher(Generic[In, Out]):
    """Runs ``work`` over ``source`` with up to ``concurrency`` rows at a time.

    Memory is bounded by the concurrency: a row is pulled only when the window has room, and its slot is released
    when its result has been consumed. ``work`` must not raise except to end the job. ``ended`` is called with each
    result before the next row starts, and must not raise. ``waits`` tells whether a row can be released without loss:
    after ``stop``, such rows are released without a result.
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
        """Concurrency at the last check."""
        self._window = 0
        """Rows that may be pulled and not consumed."""
        self._claimed = 0
        """Rows pulled, and rows being requested from the source."""
        self._pulled = 0
        self._taken = 0
        """Rows whose results have been consumed."""
        self._working = 0
        """Workers that have not decided to exit, including those about to start."""
        self._workers: dict[asyncio.Task[None], In | None] = {}
        """Worker tasks, each with its row."""
        self._given_back: set[asyncio.Task[None]] = set()
        self._returned = 0
        self._ready: deque[tuple[In, Out]] = deque()
        self._early: dict[int, tuple[In, Out] | None] = {}
        """Results held for those of earlier rows; None for a released row."""
        self._released = 0
        self._leaving = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self.in_flight = 0
        """Rows in progress."""
        self.cancelled: list[In] = []
        """Rows cancelled because results are no longer consumed."""

    @property
    def staying(self) -> int:
        """Rows in progress, excluding those being released."""
        return self.in_flight - len(self._given_back)

    def stop(self) -> None:
        """Stop pulling rows. Rows in flight finish; rows that only wait are released."""
        self._rows.stop()
        if self._waits is not None and self._look is None:
            self._give_back(self._waits)

    def _give_back(self, waits: Callable[[In], bool]) -> None:
        """Cancel the waiting rows, and check again later: a row in flight may fail and wait for a retry."""
        for worker, row in self._workers.items():
            if row is not None and worker not in self._given_back and waits(row):
                self._given_back.add(worker)
                worker.cancel()
        self._look = asyncio.get_running_loop().call_later(_FOLLOWED, self._give_back, waits)

    def untaken(self) -> Iterator[tuple[In, Out]]:
        """Yield rows with results not consumed when ``results`` was closed early, including held ones."""
        while self._ready:
            yield self._ready.popleft()
        for position in sorted(self._early):
            if (end := self._early.pop(position)) is not None:
                yield end

    async def results(self) -> AsyncGenerator[tuple[In, Out], None]:
        """Yield rows and results as they finish, or in input order. Closing early cancels rows in flight.

        Errors of the source are raised after the rows in flight have finished; errors of ``work`` immediately.
        Raises RowsLostError if work would end with a row unread or without a result.
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
        """Verify that every row read has a result and no row is unread, so that a bug cannot look like success."""
        if self._taken + self._returned != self._pulled or not self._rows.ended:
            more = "" if self._rows.ended else ", and the source was not exhausted"
            raise RowsLostError(
                f"{self._pulled:,} rows were read, but {self._taken:,} have a result{more}. This is a bug in the "
                "library; please report it",
                read=self._pulled,
                ended=self._taken,
            )

    def _follow_limit(self) -> None:
        """Adopt a changed limit. Polled, because the limit can grow while every worker waits."""
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
        """Start another worker if the limit allows. It counts immediately."""
        if self._working < self._limit and self._has_room():
            self._working += 1
            # In its own loop iteration: with eager tasks (Python 3.12) one worker would start inside another.
            asyncio.get_running_loop().call_soon(self._start_worker)

    def _start_worker(self) -> None:
        if self._leaving:
            self._working -= 1
            return
        worker = asyncio.create_task(self._run())
        self._workers.setdefault(worker, None)  # an eager task already has a row
        worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.pop(worker, None)
        if worker.cancelled():
            # Cancelled before its first step; otherwise ``_run`` would have caught it.
            self._failed(asyncio.CancelledError())
            self._leave()

    async def _run(self) -> None:
        rows, workers, me = self._rows, self._workers, asyncio.current_task()
        assert me is not None  # noqa: S101  a worker is a task
        try:
            # A worker exits when the limit has shrunk or the window is full; consuming a result starts another.
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
                # Each worker starts the next, so three rows do not start a thousand tasks.
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
        except BaseException as failure:  # noqa: BLE001  re-raised to the consumer
            self._failed(failure)
        self._leave()

    def _leave(self) -> None:
        """Stop counting the worker immediately, so that others finishing in the same loop iteration stay."""
        self._working -= 1
        self._wake.set()

    def _failed(self, failure: BaseException) -> None:
        if not self._leaving and self._failure is None:
            if isinstance(failure, asyncio.CancelledError):
                # The consumer was not cancelled: re-raising the cancellation would end its task silently.
                failure = RowsLostError(
                    "a row was cancelled by code outside the library, so its result is lost: run the job again, which "
                    "sends the rows without an answer"
                )
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
    """Uniform interface over sync and async sources, safe for concurrent consumers."""

    def __init__(self, source: Iterable[In] | AsyncIterable[In]) -> None:
        self._sync: Iterator[In] | None = None
        self._async: AsyncIterator[In] | None = None
        if isinstance(source, AsyncIterable):
            self._async = aiter(source)
        else:
            self._sync = iter(source)
        self._at_once: Callable[[], In | None] | None = getattr(source, "at_once", None)
        # An async generator cannot be advanced by two tasks at once.
        self._turn = None if getattr(source, "safe_for_many", False) else asyncio.Lock()
        self.ended = False
        """Whether no more rows are returned: the source is exhausted, or the dispatcher was stopped."""
        self.failure: Exception | None = None
        """Exception raised by the source."""

    def stop(self) -> None:
        """Return no more rows. Calls the source's own ``stop``, if it has one."""
        self.ended = True
        stop = getattr(self._async, "stop", None)
        if stop is not None:
            stop()

    def at_once(self) -> In | _Later:
        """Return the next row if no wait is needed; LATER if ``anext`` must be awaited, also at the end."""
        try:
            if self._sync is not None:
                if not self.ended:
                    return next(self._sync)
            elif self._at_once is not None and not self.ended and (row := self._at_once()) is not None:
                return row
        except StopIteration:
            self.ended = True
        except Exception as failure:  # noqa: BLE001  raised to the consumer after the rows in flight
            self.failure, self.ended = failure, True
        return _Later.LATER

    async def __anext__(self) -> In:
        try:
            if self._async is not None and self._turn is None:
                if not self.ended:
                    return await anext(self._async)
            elif self._async is not None and self._turn is not None:
                async with self._turn:
                    # Checked after the wait: tasks queued behind the last row must not pull again.
                    if not self.ended:
                        return await anext(self._async)
        except StopAsyncIteration:
            pass
        except Exception as failure:  # noqa: BLE001  raised to the consumer after the rows in flight
            self.failure = failure
        self.ended = True
        raise StopAsyncIteration
