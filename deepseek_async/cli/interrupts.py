"""Signal handling of a running job: finish, cancel, exit."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from deepseek_async.batch import ExitCode, StoppableJob
from deepseek_async.cli.terminal import say

DRAIN_SECONDS: Final = 30.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Counts the signals of a run. The first lets rows in flight finish, the second cancels them."""

    def __init__(self, job: StoppableJob, running: asyncio.Task[Any]) -> None:
        self._job = job
        self._running = running
        self._received = 0
        self._drain: asyncio.TimerHandle | None = None
        self.cancelled = False
        """Whether rows in flight were cancelled."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM within the ``with`` block."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        try:
            yield
        finally:
            if self._drain is not None:
                self._drain.cancel()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _receive(self, number: signal.Signals) -> None:
        self._received += 1
        if self._received == 1:
            self._job.stop(f"interrupted by {number.name}")
            say(f"{number.name}: {_drain(self._job.progress().in_flight)}")
            self._drain = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._cancel)
        elif self._received == 2:
            self._cancel()
        else:
            # The shutdown hangs. The output stays valid: the next run removes an incomplete last line.
            os._exit(ExitCode.STOPPED)

    def _cancel(self) -> None:
        self.cancelled = True
        self._running.cancel()


def _drain(in_flight: int) -> str:
    if not in_flight:
        return "no rows in flight"
    rows, them = ("1 row", "it") if in_flight == 1 else (f"{in_flight:,} rows", "them")
    return f"finishing {rows} in flight, for at most {DRAIN_SECONDS:.0f} s; repeat to cancel {them}"
