"""A client and the event loop that it lives on, for callers on any loop or on none."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary, finalize

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.loop_thread import LoopThread, loop_thread

T = TypeVar("T")

_AHEAD: Final = 256
"""Chunks read ahead of a slow reader; then the server is held back."""


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
            finalize(self, _close, client, self._where).atexit = False  # the loop thread closes it then

    def _home(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the client; where it has none yet, that is the running one or the loop thread's."""
        if self._own:
            thread = loop_thread()
            if thread is not self._where.thread:  # the first use in this process, which may be a forked child
                self._where.thread = thread
                thread.open.add(self)
            return thread.loop
        if self._loop is None or not self._loop.is_running():
            self._loop = _running() or loop_thread().loop
        return self._loop

    async def aclose(self) -> None:
        """Close the client."""
        await self.client.aclose()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for ``coroutine`` in a thread without this loop. An interrupt, such as Ctrl-C, cancels it."""
        home = self._home()
        if home is _running():
            coroutine.close()
            raise ConfigurationError(
                "a synchronous call would block the event loop that its client runs on: await ainvoke, astream or "
                "abatch instead"
            )
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
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, home))

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


class _Where:
    """The thread on whose loop a client is to be closed."""

    thread: LoopThread | None = None


def _close(client: AsyncDeepSeek, where: _Where) -> None:
    """Finalizer of a connection that no model uses any more."""
    if where.thread is not None:
        where.thread.close_soon(client)


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
_lock = threading.Lock()


def shared_connection(
    api_key: str | None, base_url: str | None, default_headers: tuple[tuple[str, str], ...]
) -> Connection:
    """Return the connection of an account at a server, the same for all models of the process that use it."""
    key = (api_key, base_url, default_headers)
    with _lock:
        found = _shared.get(key)
        if found is None:
            client = AsyncDeepSeek(api_key=api_key, base_url=base_url, default_headers=dict(default_headers) or None)
            found = _shared[key] = Connection(client, own=True)
        return found
