"""An event loop on a thread of its own, on which any other thread runs coroutines and waits for them."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import sys
import threading
from collections import deque
from collections.abc import AsyncIterable, Coroutine
from typing import Any, Final, Generic, TypeVar

from deepseek_async.errors import APIConnectionError
from deepseek_async.process.forks import AtFork, leave_loop, register

T = TypeVar("T")

_EXIT_SECONDS: Final = 5.0
"""Longest wait for the thread at interpreter exit."""


class LoopThread(AtFork):
    """The thread begins with the first coroutine and ends when nobody holds it any more.

    Safe to use from many threads. In a forked child it begins anew; what its parent waited for stays with the parent.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._dropped: deque[None] = deque()
        self._runs = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        register(self)
        atexit.register(self._exit)

    def hold(self) -> None:
        """Keep the thread until ``release``."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Undo one ``hold``; after the last one no thread is left on return."""
        with self._lock:
            self._holders -= 1
        self._end_if_idle()

    def drop(self) -> None:
        """Undo one ``hold`` from a finalizer, which may run inside any method here: whoever comes next counts it."""
        self._dropped.append(None)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, for who holds the thread and has other ways to wait than ``run``."""
        with self._lock:
            return self._begun()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop and return its result, in the context variables of the calling thread.

        Ctrl-C cancels it, waits until it has given back what it held, and is raised. Raises RuntimeError on the loop's
        own thread, which would wait for itself, APIConnectionError if the thread or the interpreter ends before the
        coroutine, and TypeError for anything but a coroutine.
        """
        if not asyncio.iscoroutine(coroutine):
            hint = "iterate() takes it" if isinstance(coroutine, AsyncIterable) else "pass the call of an async method"
            raise TypeError(f"run() takes a coroutine, got {type(coroutine).__name__}: {hint}")
        if sys.is_finalizing():  # a finalizer of the program; no thread runs or begins any more
            coroutine.close()
            raise APIConnectionError("the interpreter is exiting", retryable=False, reason="closed")
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError(
                "cannot block the event loop of deepseek_async.blocking: use AsyncDeepSeek in coroutines"
            )
        with self._lock:
            try:
                loop = self._begun()
            except RuntimeError as error:
                coroutine.close()
                raise APIConnectionError(f"the client's thread cannot begin: {error}", reason="closed") from error
            self._runs += 1
        run = _Run(coroutine, loop)
        try:
            return run.result()
        finally:
            with self._lock:
                self._runs -= 1
            self._end_if_idle()

    def _begun(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            # A daemon, so that an exit without close() is not held up: _exit ends it.
            thread = threading.Thread(target=_work, args=(loop,), name="deepseek-async", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many threads, or the interpreter ends
                loop.close()
                raise
            self._loop, self._thread = loop, thread
        return self._loop

    def _end_if_idle(self) -> None:
        if threading.current_thread() is self._thread:
            return  # a finalizer on the loop; whoever runs next ends it
        with self._lock:
            while self._dropped:
                self._dropped.popleft()
                self._holders -= 1
            if self._holders or self._runs or self._thread is None:
                return
            self._stop(None)

    def _stop(self, seconds: float | None) -> None:
        thread, loop = self._thread, self._loop
        self._thread = self._loop = None
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(seconds)

    def _exit(self) -> None:
        with self._lock:
            self._stop(_EXIT_SECONDS)

    def before_fork(self) -> None:
        """Let nobody begin or end meanwhile."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Resume."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread and loop; the clients that hold it are the child's too."""
        self._lock = threading.Lock()
        loop, self._loop, self._thread, self._runs = self._loop, None, None, 0
        if loop is not None:
            leave_loop(loop)


SHARED: Final = LoopThread()
"""The thread of this process that all blocking clients share."""


class _Run(Generic[T]):
    """One coroutine on the loop, and the thread that waits for it."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._loop = loop
        self._task: asyncio.Task[T] | None = None
        # A bare lock: an Event is three of them.
        self._ended = threading.Lock()
        self._ended.acquire()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._coroutine, context=self._context)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # seen, also if nobody waits any more
        self._ended.release()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # interrupted before it was handed to the loop
            self._coroutine.close()
            self._ended.release()

    def result(self) -> T:
        try:
            # Inside, because Ctrl-C may come between the two.
            self._loop.call_soon_threadsafe(self._start)
            self._ended.acquire()
        except BaseException:
            self._loop.call_soon_threadsafe(self._cancel)
            self._ended.acquire()
            raise
        task, self._task = self._task, None
        assert task is not None  # noqa: S101  it has ended
        if task.cancelled():
            raise APIConnectionError("the event loop's thread ended before the call", reason="closed")
        return task.result()


def _work(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
