"""Time that passes only while nothing happens: an hour takes as long as what happens in it.

Every event loop of the suite has it, so that no test depends on how fast the machine is: what takes CPU takes none of
this time, and a wait is over as soon as there is nothing else to do. Loop, sockets and threads are the real ones.
While a child process or an event loop of another thread runs, time passes as it does outside; so it does in a test
that is marked ``real_time``.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Callable
from typing import Any

import pytest
from anyio import to_thread

ON_ITS_WAY = 0.001
"""Seconds of real time for bytes in the kernel, before nothing is held to be happening."""

GLANCE = 1e-9
"""Seconds that a look at the clock takes, so that what comes later is later."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Goes on to its next timer when there is nothing else to do."""

    real = False
    """Whether time is that of the machine, for all loops."""

    _running: set[VirtualTimeLoop] = set()

    def __init__(self) -> None:
        self._now = time.monotonic()
        self.in_threads = 0
        """Functions that run in threads, as this loop knows."""
        self._children: list[asyncio.SubprocessTransport] = []
        super().__init__(_Selector(self))  # type: ignore[arg-type]  all that a loop asks of it

    def time(self) -> float:
        self._now += GLANCE
        return super().time() if self.real else self._now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads however long they take: from Python 3.12 on it gives up after five minutes, by this
        loop's time.
        """
        del timeout
        await super().shutdown_default_executor()

    def run_forever(self) -> None:
        self._running.add(self)
        try:
            super().run_forever()
        finally:
            self._running.discard(self)

    def pass_by(self, seconds: float) -> None:
        """Let time pass without a turn of the loop."""
        self._now += seconds

    def select(self, selector: selectors.BaseSelector, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What happens before ``timeout`` is over."""
        if self._has_children() or self._running - {self}:
            began = time.monotonic()
            happened = selector.select(timeout)
            self._now += time.monotonic() - began if happened else timeout
            return happened
        happened = selector.select(None if self.in_threads else ON_ITS_WAY)
        if not happened:
            self._now += timeout
        return happened

    def _has_children(self) -> bool:
        # Those that this loop has not yet heard the end of, and any others of this process.
        self._children = [child for child in self._children if child.get_returncode() is None]
        try:
            return bool(self._children or os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) or True)
        except ChildProcessError:
            return False

    async def _make_subprocess_transport(self, *arguments: Any, **options: Any) -> asyncio.SubprocessTransport:
        made: asyncio.SubprocessTransport = await super()._make_subprocess_transport(*arguments, **options)  # type: ignore[misc]
        self._children.append(made)
        return made

    def run_in_executor(self, *arguments: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self.in_threads += 1
        working = super().run_in_executor(*arguments)
        working.add_done_callback(self._back)
        return working

    def _back(self, _: asyncio.Future[Any]) -> None:
        self.in_threads -= 1


class _Selector:
    """The system's selector, but for waits that a timer ends."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0 or self._loop.real:
            return self._selector.select(timeout)
        return self._loop.select(self._selector, timeout)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._selector, name)
        return method


_run_sync = to_thread.run_sync


async def _run_sync_noted(*arguments: Any, **options: Any) -> Any:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        return await _run_sync(*arguments, **options)
    loop.in_threads += 1
    try:
        return await _run_sync(*arguments, **options)
    finally:
        loop.in_threads -= 1


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_time: the test's event loops go by the clock of the machine")
    asyncio.DefaultEventLoopPolicy._loop_factory = VirtualTimeLoop
    to_thread.run_sync = _run_sync_noted  # type: ignore[assignment]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    VirtualTimeLoop.real = item.get_closest_marker("real_time") is not None


@pytest.fixture
async def stand_still() -> Callable[[float], None]:
    """Lets the event loop stand still for some seconds, as a laptop that is closed or a callback that blocks."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.pass_by
