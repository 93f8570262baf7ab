"""The event loop on a thread of its own, on which the models of frameworks make their calls.

LangChain and pydantic-ai call a model with and without a running event loop, in threads, and in one loop after another.
One loop that outlives them all gives these calls one client: one set of connections and one concurrency limit.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from contextlib import suppress
from typing import Final, Protocol
from weakref import WeakSet

from deepseek_async.process.forks import leave_loop

_PATIENCE: Final = 5.0  # seconds that closing may take when the interpreter ends


class Closable(Protocol):
    """What is closed on the loop."""

    async def aclose(self) -> None:
        """Close it."""


class LoopThread:
    """A running event loop, and what is closed on it before the interpreter ends."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.open: WeakSet[Closable] = WeakSet()
        self._closing: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="deepseek-async", daemon=True)
        self._thread.start()
        # Here and not on import: what is registered last runs first, and a client's finalizer would complain.
        atexit.register(self.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def stop(self) -> None:
        """Close what is open, end the loop and the thread. The next use starts another one."""
        global _current  # noqa: PLW0603  one for each process
        with _lock:
            if _current is self:
                _current = None
        atexit.unregister(self.stop)
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self.loop)
        self._thread.join(2 * _PATIENCE)

    def close_soon(self, thing: Closable) -> None:
        """Close ``thing``, which nobody uses any more. May be called in any thread and at any time."""
        with suppress(RuntimeError):  # the loop is closed, and so is what was open on it
            self.loop.call_soon_threadsafe(self._begin_to_close, thing)

    def _begin_to_close(self, thing: Closable) -> None:
        task = self.loop.create_task(thing.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        try:
            for thing in tuple(self.open):
                self._begin_to_close(thing)
            if self._closing:
                await asyncio.wait(self._closing, timeout=_PATIENCE)
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=_PATIENCE)
            await self.loop.shutdown_asyncgens()
        finally:
            self.loop.stop()


_lock = threading.Lock()
_current: LoopThread | None = None


def loop_thread() -> LoopThread:
    """Return the loop thread of this process; started on first use, and anew in a forked child."""
    global _current  # noqa: PLW0603  one for each process
    with _lock:
        if _current is None:
            _current = LoopThread()
        return _current


def _forget() -> None:
    global _current, _lock  # the parent's thread does not exist in the child
    if _current is not None:
        atexit.unregister(_current.stop)
        leave_loop(_current.loop)
    _current, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
