"""A client and the event loop that it lives on, for callers on any loop or on none.

LangChain and pydantic-ai call a model with and without a running event loop, in threads, and in one loop after another.
The loop thread outlives them all and gives these calls one client: one set of connections, one concurrency limit.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary, finalize

from deepseek_async.blocking import SHARED
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import ConfigurationError

T = TypeVar("T")

_AHEAD: Final = 256
"""Chunks read ahead of a slow reader; then the server is held back."""
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
_PATIENCE: Final = 5.0
"""Seconds that closing may take."""


class Connection:
    """A client on one event loop at a time.

    A client made here lives on the loop thread. One that a program made lives on the loop that uses it first, and its
    calls are awaited there without a thread in between.
    """

    def __init__(self, client: AsyncDeepSeek, *, own: bool) -> None:
        self.client = client
        self._own = own
        self._where = _Where()
        self._loop: asyncio.AbstractEventLoop | None = None if own else _running()
        if own:
            finalize(self, _close, client, self._where).atexit = False  # close_all does it then

    def _home(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the client; where it has none yet, that is the running one or the loop thread's."""
        if self._own:
            # Of this process: a forked child has another one.
            loop = self._where.loop = _thread_loop()
            return loop
        if self._loop is None or not self._loop.is_running():
            self._loop = _running() or _thread_loop()
        return self._loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for ``coroutine`` in a thread without this loop. An interrupt, such as Ctrl-C, cancels it."""
        home = self._home()
        if home is _running():
            coroutine.close()
            raise ConfigurationError(
                "a synchronous call would block the event loop that its client runs on: await ainvoke, astream or "
                "abatch instead"
            )
        if self._own:
            return SHARED.run(coroutine)
        future = asyncio.run_coroutine_threadsafe(coroutine, home)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def arun(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await ``coroutine`` from any loop."""
        home = self._home()
        if home is asyncio.get_running_loop():
            return await coroutine
        return await _Crossing(coroutine, home).result()

    def iterate(self, stream: AsyncIterator[T]) -> Iterator[T]:
        """Iterate over ``stream`` in a thread without this loop. Closing the iterator closes the stream."""
        home = self._home()
        if home is _running():
            raise ConfigurationError(
                "a synchronous iteration would block the event loop that its client runs on: use astream instead"
            )
        relay: _Relay[T] = _Relay()
        pump = asyncio.run_coroutine_threadsafe(relay.pump(stream), home)
        try:
            while (items := relay.wait()) is not None:
                yield from items
            pump.result()
        finally:
            pump.cancel()

    async def aiterate(self, stream: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Iterate over ``stream`` from any loop. Closing the iterator closes the stream."""
        home = self._home()
        if home is asyncio.get_running_loop():
            try:
                async for item in stream:
                    yield item
            finally:
                await _aclose(stream)
            return
        relay: _Relay[T] = _Relay(asyncio.get_running_loop())
        pump = asyncio.run_coroutine_threadsafe(relay.pump(stream), home)
        try:
            while (items := await relay.await_items()) is not None:
                for item in items:
                    yield item
            await asyncio.wrap_future(pump)
        finally:
            pump.cancel()


class _Crossing(Generic[T]):
    """A coroutine on another loop, and the future of who waits for it. Half of what asyncio's own way costs."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], home: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self._home = home
        self._here = asyncio.get_running_loop()
        self._ended: asyncio.Future[T] = self._here.create_future()
        self._task: asyncio.Task[T] | None = None

    async def result(self) -> T:
        try:
            self._home.call_soon_threadsafe(self._start)
            return await self._ended
        except asyncio.CancelledError:
            self._home.call_soon_threadsafe(self._cancel)
            raise

    def _start(self) -> None:
        self._task = self._home.create_task(self._coroutine, context=self._context)
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        with suppress(RuntimeError):  # the loop of who waited is closed
            self._here.call_soon_threadsafe(self._settle, task)

    def _settle(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._ended.cancel()
        elif (error := task.exception()) is not None:
            if not self._ended.done():
                self._ended.set_exception(error)
        elif not self._ended.done():
            self._ended.set_result(task.result())


class _Where:
    """The loop that a client is to be closed on."""

    loop: asyncio.AbstractEventLoop | None = None


def _close(client: AsyncDeepSeek, where: _Where) -> None:
    """Finalizer of a connection that no model uses any more. It may run in any thread and at any time."""
    if where.loop is not None:
        with suppress(RuntimeError):  # the loop is closed, and so is what was open on it
            where.loop.call_soon_threadsafe(_begin_to_close, client)


def _begin_to_close(client: AsyncDeepSeek) -> None:
    task = asyncio.get_running_loop().create_task(client.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


class _Relay(Generic[T]):
    """Carries the items of a stream to a reader in another thread, all that have come at each wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._items: deque[T] = deque()
        self._done = False
        self._loop = loop  # the reader's, if it has one
        self._came = threading.Event()
        self._acame: asyncio.Event | None = asyncio.Event() if loop is not None else None
        self._room: asyncio.Event | None = None
        self._pump_loop: asyncio.AbstractEventLoop | None = None

    async def pump(self, stream: AsyncIterator[T]) -> None:
        """Read ``stream`` to its end, never more than _AHEAD items ahead of the reader."""
        self._pump_loop, self._room = asyncio.get_running_loop(), asyncio.Event()
        try:
            async for item in stream:
                self._items.append(item)
                self._tell()
                while len(self._items) >= _AHEAD:
                    self._room.clear()
                    if len(self._items) >= _AHEAD:
                        await self._room.wait()
        finally:
            await _aclose(stream)
            self._done = True
            self._tell()

    def _tell(self) -> None:
        if self._acame is None or self._loop is None:
            self._came.set()
        elif not self._came.is_set():
            self._came.set()  # one wake-up for all items until the reader has looked
            with suppress(RuntimeError):  # the reader's loop is closed
                self._loop.call_soon_threadsafe(self._acame.set)

    def wait(self) -> list[T] | None:
        """Return the items that have come, waiting for the first; None at the end."""
        while True:
            done = self._done
            if items := self._taken():
                return items
            if done:
                return None
            self._came.wait()
            self._came.clear()

    async def await_items(self) -> list[T] | None:
        """Do the same on the reader's loop."""
        assert self._acame is not None  # noqa: S101  made for a reader with a loop
        while True:
            done = self._done
            if items := self._taken():
                return items
            if done:
                return None
            await self._acame.wait()
            self._acame.clear()
            self._came.clear()

    def _taken(self) -> list[T]:
        items: list[T] = []
        with suppress(IndexError):
            while True:
                items.append(self._items.popleft())
        if len(items) >= _AHEAD and self._room is not None and self._pump_loop is not None:
            with suppress(RuntimeError):
                self._pump_loop.call_soon_threadsafe(self._room.set)
        return items


async def _aclose(stream: AsyncIterator[Any]) -> None:
    close: Callable[[], Coroutine[Any, Any, None]] | None = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


_shared: WeakValueDictionary[tuple[Any, ...], Connection] = WeakValueDictionary()
_closing: set[asyncio.Task[None]] = set()
_lock = threading.Lock()
_holding = False


def _variables() -> tuple[tuple[str, str], ...]:
    """Return what a client reads from the environment: a model made after a change must not get the old key."""
    return tuple(item for item in os.environ.items() if item[0].startswith("DEEPSEEK_") or item[0].lower() in _PROXIES)


def shared_connection(
    api_key: str | None, base_url: str | None, default_headers: tuple[tuple[str, str], ...]
) -> Connection:
    """Return the connection of an account at a server, the same for all models of the process that use it.

    Raises ConfigurationError for settings that the client does not accept.
    """
    key = (api_key, base_url, default_headers, _variables())
    with _lock:
        found = _shared.get(key)
        if found is None:
            client = AsyncDeepSeek(api_key=api_key, base_url=base_url, default_headers=dict(default_headers) or None)
            found = _shared[key] = Connection(client, own=True)
        return found


def close_all() -> None:
    """Close the clients that models share, and end the thread unless another holds it. Done at exit too."""
    global _holding  # noqa: PLW0603  one for each process
    with _lock:
        connections = list(_shared.values())
        _shared.clear()
        if not _holding:
            return  # none of them was used
        _holding = False
    atexit.unregister(close_all)

    async def close() -> None:
        for connection in connections:
            _begin_to_close(connection.client)
        if _closing:
            await asyncio.wait(_closing, timeout=_PATIENCE)

    SHARED.run(close())
    SHARED.release()


def _thread_loop() -> asyncio.AbstractEventLoop:
    global _holding  # noqa: PLW0603  one for each process
    if not _holding:
        with _lock:
            if not _holding:
                SHARED.hold()
                # Here and not on import: what is registered last runs first, and a client's finalizer would complain.
                atexit.register(close_all)
                _holding = True
    return SHARED.loop()
