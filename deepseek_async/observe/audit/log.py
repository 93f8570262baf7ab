"""Audit log listener: one JSON line per call, written by a background thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.events import CallEnded, Event, Rated
from deepseek_async.files.private_files import reason_of, state_folder
from deepseek_async.observe.audit.files import DayFile, day_of, delete_older_than
from deepseek_async.observe.audit.record import call_line, rating_line
from deepseek_async.process.forks import AtFork, register

_LOG: Final = logging.getLogger("deepseek_async")

_GATHER_SECONDS: Final = 0.2
_GROUP: Final = 512
_MOST_WAITING: Final = 20_000
"""Queue limit in events; events above it are dropped and counted."""


def audit_folder() -> Path:
    """Default folder of the log."""
    return state_folder() / "audit"


class AuditLog(AtFork):
    """Listener that writes a line per call: settings, model, usage, cost, outcome, hash of the prompt.

    - ``folder``: ``audit`` in the user's state folder by default. Files have mode 0600.
    - ``days``: retention in days; 90 by default. Files are deleted by whole days.
    - ``content``: whether to include prompts and answers; False by default.
    - ``max_bytes``: file size above which the day continues in another file; 64 MiB by default.

    Never blocks and never fails a call: lines that cannot be written are dropped, counted in ``dropped`` and logged
    once. Raises ConfigurationError for invalid values.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        days: int = 90,
        content: bool = False,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(days, bool) or not isinstance(days, int) or days < 1:
            raise ConfigurationError(f"audit.days must be an integer of at least 1, got {days!r}")
        self.folder = audit_folder() if folder is None else Path(folder).expanduser()
        self.days = days
        self.dropped = 0
        """Number of events that were not written."""
        self._content = content
        self._clock = clock
        self._max_bytes = max_bytes
        self._failed = False
        self._begin()
        register(self)

    def _begin(self) -> None:
        self._file = DayFile(self.folder, self._max_bytes)
        self._waiting: deque[CallEnded | Rated] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._ending = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Queue one event; it is written within a fraction of a second."""
        if not isinstance(event, CallEnded | Rated):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(event)
        if self._idle.is_set():
            self._idle.clear()
            self._start()
            self._wake.set()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all queued events are written; False if ``timeout`` (seconds) expires first."""
        self._wake.set()
        return self._idle.wait(timeout)

    def close(self) -> None:
        """Write all queued events and stop the thread; the next event restarts it."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._ending = True
            self._wake.set()
        if thread is not None:
            thread.join()
        self._ending = False

    def after_fork_in_child(self) -> None:
        """Internal: restart with a new thread and an empty queue; the parent writes the inherited events.

        The parent's descriptor stays open, because its thread may have been about to close it.
        """
        self._begin()
        self.dropped = 0

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deepseek_async audit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._write_group()
                if len(self._waiting) < _GROUP and not self._ending:
                    # Waking the thread for each call costs more than writing the line.
                    self._wake.wait(_GATHER_SECONDS)
            self._idle.set()
            if self._waiting and self._idle.is_set():
                # An event arrived meanwhile, and its caller did not wake the thread.
                self._idle.clear()
                self._wake.set()
                continue
            if self._ending:
                self._file.close()
                return

    def _write_group(self) -> None:
        events = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
        lines = []
        for event in events:
            try:
                if isinstance(event, CallEnded):
                    lines.append(call_line(event, content=self._content))
                else:
                    lines.append(rating_line(event))
            except Exception:  # noqa: BLE001  one malformed request must not stop the log
                self._drop(1, "cannot serialise a call")
        today = day_of(self._clock())
        try:
            begun = self._file.append(b"".join(lines), today)
        except OSError as error:
            self._file.close()
            self._drop(len(lines) - self._file.taken, reason_of(error))
            return
        self._failed = False
        if begun:
            self._delete_old(today)

    def _delete_old(self, today: date) -> None:
        try:
            delete_older_than(self.folder, self.days, today)
        except OSError as error:
            _LOG.warning("cannot delete expired files of the audit log in %s: %s", self.folder, error)

    def _drop(self, number: int, reason: str) -> None:
        self.dropped += number
        if not self._failed:
            self._failed = True
            _LOG.warning("audit log in %s drops lines: %s", self.folder, reason)
