"""Disk tier of the cache, in SQLite: read on the calling thread, written in batches by a background thread.

The thread is the only writer of its process, so its connection needs no lock. With SQLite before 3.51.3 the first
process writes and the others only read.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from deepseek_async.cache.bypass import SLOW, Bypass
from deepseek_async.cache.database import (
    NotACacheError,
    Stored,
    WriterLock,
    another_is_at_work,
    bytes_of,
    is_damage,
    open_reader,
    open_writer,
    refuse_what_is_not_ours,
    set_aside,
    stored,
    transaction,
)
from deepseek_async.cache.entry import Entry, unpacked
from deepseek_async.files.private_files import reason_of
from deepseek_async.process.forks import AtFork, leave, register

_LOG: Final = logging.getLogger("deepseek_async")

_BATCH_SECONDS: Final = 0.05
_BATCH_ENTRIES: Final = 256
_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Bytes of answers waiting to be written; answers above the limit are not stored."""
_TOUCHES: Final = 512
_SLOW_READS: Final = 3
_SWEEP_SECONDS: Final = 300.0

_Command = Callable[[sqlite3.Connection], Any]
_Queue = SimpleQueue[tuple[bytes, Entry] | _Command | None]


class DiskTier(AtFork):
    """Holds at most ``max_bytes`` of answers up to ``keep_seconds`` old; evicts the least recently used first.

    Never raises for problems with the file. A damaged cache, or one of another version, is set aside and replaced by
    a new file. A file that is not a cache is neither opened nor moved, and no file is created beside it; this and
    any other failure bypass the tier for a while. Each is logged once.

    A fork waits until pending answers are written and finds the file closed; parent and child reopen it.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        keep_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._bypass = Bypass()
        self._lock = WriterLock(path)
        self._reader: sqlite3.Connection | None = None
        self._outdated = False
        """Whether the reader's file was replaced; the reading thread closes the connection, not the writer's."""
        self._writer: threading.Thread | None = None
        self._queue: _Queue = SimpleQueue()
        self._guard = threading.RLock()
        """Held briefly on each use of the tier; the writer thread never takes it."""
        # Separate counters, because each is modified by one thread only.
        self._sent_bytes = 0
        self._written_bytes = 0
        self._touched: set[bytes] = set()
        self._swept = 0.0
        self._slow = 0
        register(self)

    def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key``. Reads on the calling thread: a cached page is faster than a thread switch."""
        with self._guard:
            return self._get(key, time.monotonic())

    def _get(self, key: bytes, begun: float) -> Entry | None:
        reader = self._ready(begun)
        if reader is None:
            return None
        try:
            row = reader.execute("SELECT record FROM entries WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        self._judge(time.monotonic() - begun)
        if row is None:
            return None
        entry = unpacked(key, row[0])
        if entry is None:
            self._send(lambda connection: connection.execute("DELETE FROM entries WHERE key = ?", (key,)))
            return None
        self._touch(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Store ``entry`` in the background; drops it if the disk falls behind."""
        with self._guard:
            self._ready(time.monotonic())
            if self._writer is not None and self._sent_bytes - self._written_bytes < _PENDING_BYTES:
                self._sent_bytes += len(entry.body)
                self._queue.put((key, entry))

    def clear(self) -> None:
        """Delete all entries before returning.

        Raises OSError if some remain: NotACacheError if the file belongs to another program.
        """
        refuse_what_is_not_ours(self.path)
        with self._guard:
            self._ready(time.monotonic())
        try:
            done = self._wait_for(lambda connection: connection.execute("DELETE FROM entries"))
        except sqlite3.Error as error:
            raise OSError(f"cannot clear cache {self.path}: {error}; free disk space or delete the file") from None
        if not done and self.path.exists():
            raise OSError(f"cannot clear cache {self.path}: it is not writable for this process")

    def flush(self) -> None:
        """Wait until every pending answer is written or dropped."""
        self._wait_for(lambda _: None)

    def stored(self) -> Stored | None:
        """Return the figures of the file; None while it is unreadable."""
        with self._guard:
            reader = self._ready(time.monotonic())
            if reader is None:
                return None
            try:
                return stored(reader)
            except sqlite3.Error as error:
                self._failed(error)
                return None

    def close(self) -> None:
        """Write pending answers and close the file; the next use reopens it."""
        with self._guard:
            # The reader first: the last connection to close checkpoints the log, and a reader cannot.
            self._forget_reader()
            if self._writer is not None:
                self._queue.put(None)
                self._writer.join()
                self._writer = None
            self._lock.release()

    def before_fork(self) -> None:
        """Close the file and keep it closed until the fork is over."""
        self._guard.acquire()
        self.close()

    def after_fork_in_parent(self) -> None:
        """Resume."""
        self._guard.release()

    def after_fork_in_child(self) -> None:
        """Restart; a connection that is still open was forked without the hooks and belongs to the parent."""
        self._guard = threading.RLock()
        leave((self._reader, self._lock, self._queue))
        self._lock = WriterLock(self.path)
        self._reader = self._writer = None
        self._queue = SimpleQueue()
        self._touched = set()
        self._sent_bytes = self._written_bytes = 0

    def _ready(self, now: float) -> sqlite3.Connection | None:
        if self._bypass.active(now):
            return None
        if self._outdated:
            self._outdated = False
            self._forget_reader()
        if self._reader is None:
            try:
                self._open()
            except NotACacheError as error:
                if self._bypass.begin(time.monotonic()):
                    _LOG.warning("cache %s disabled: %s", self.path, error)
            except (sqlite3.Error, OSError) as error:
                if not another_is_at_work(error):  # otherwise a cache miss
                    self._leave_alone(reason_of(error))
        return self._reader

    def _open(self) -> None:
        # Before the lock, because no file may be created beside a file of another program.
        refuse_what_is_not_ours(self.path)
        if self._writer is None:
            try:
                self._start_writer()
            except (sqlite3.Error, OSError) as error:
                self._lock.release()
                if self._bypass.begin(time.monotonic()):
                    _LOG.warning("cannot write cache %s: %s", self.path, reason_of(error))
        # A read-only cache is still useful.
        self._reader = open_reader(self.path)
        self._bypass.end()

    def _start_writer(self) -> None:
        if not self._lock.take():
            return
        connection = self._open_or_begin_anew()
        name = "deepseek_async cache"
        self._queue = SimpleQueue()
        self._writer = threading.Thread(target=self._write, args=(connection,), name=name, daemon=True)
        self._writer.start()

    def _open_or_begin_anew(self) -> sqlite3.Connection:
        try:
            return open_writer(self.path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._set_aside(error)
        return open_writer(self.path)

    def _failed(self, error: sqlite3.Error) -> None:
        if another_is_at_work(error):
            return  # cache miss
        if is_damage(error) and self._writer is not None:
            # The writer has the file open, so it replaces it.
            self._bypass.begin(time.monotonic())
            self._send(lambda _: _begin_anew(error))
        else:
            self._leave_alone(str(error))

    def _judge(self, seconds: float) -> None:
        """Record the duration of a read: one slow read may be a busy machine, several in a row are a slow disk."""
        self._slow = self._slow + 1 if seconds > SLOW else 0
        if self._slow >= _SLOW_READS:
            self._slow = 0
            self._leave_alone(f"{_SLOW_READS} reads in a row took over {SLOW * 1000:.0f} ms")

    def _leave_alone(self, reason: str) -> None:
        self._forget_reader()
        self._pause(reason)

    def _forget_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(sqlite3.Error):
                reader.close()

    def _set_aside(self, error: sqlite3.Error) -> None:
        refuse_what_is_not_ours(self.path)
        aside = set_aside(self.path)
        _LOG.warning("cache %s set aside as %s and recreated: %s", self.path, aside, error)

    def _touch(self, key: bytes) -> None:
        self._touched.add(key)
        if len(self._touched) >= _TOUCHES:
            touched, self._touched = self._touched, set()
            used = self._clock()
            rows = [(used, key) for key in touched]
            self._send(lambda connection: _many(connection, "UPDATE entries SET used = ? WHERE key = ?", rows))

    def _send(self, command: _Command) -> None:
        if self._writer is not None:
            self._queue.put(command)

    def _wait_for(self, command: _Command) -> bool:
        """Run ``command`` on the writer and wait for it; False without a writer. Raises what ``command`` raises."""
        done: Future[None] = Future()

        def run(connection: sqlite3.Connection) -> None:
            try:
                command(connection)
            except BaseException as error:
                done.set_exception(error)
                raise
            done.set_result(None)

        with self._guard:
            if self._writer is None:
                return False
            self._queue.put(run)
        done.result()
        return True

    # Methods below run on the writer thread.

    def _write(self, connection: sqlite3.Connection) -> None:
        ended = False
        while not ended:
            puts, command, ended = self._gather()
            if puts:
                connection = self._carry_out(connection, partial(self._commit, puts=puts))
                self._written_bytes += sum(len(entry.body) for _, entry in puts)
            if command is not None:
                connection = self._carry_out(connection, command)
        with suppress(sqlite3.Error):
            connection.close()

    def _carry_out(self, connection: sqlite3.Connection, command: _Command) -> sqlite3.Connection:
        """Run ``command`` and return the connection to continue with. Never raises, so that the thread survives."""
        try:
            command(connection)
        except _DamagedError as damaged:
            return self._replace(connection, damaged.cause)
        except sqlite3.Error as error:
            if is_damage(error):
                return self._replace(connection, error)
            self._pause(error)
        except Exception as error:  # noqa: BLE001
            self._pause(error)
        return connection

    def _pause(self, reason: object) -> None:
        if self._bypass.begin(time.monotonic()):
            _LOG.warning("cache %s bypassed for a while: %s", self.path, reason)

    def _gather(self) -> tuple[list[tuple[bytes, Entry]], _Command | None, bool]:
        """Wait for work, then collect for 50 ms; the flag is True for the last batch."""
        puts: list[tuple[bytes, Entry]] = []
        item = self._queue.get()
        until = time.monotonic() + _BATCH_SECONDS
        while isinstance(item, tuple):
            puts.append(item)
            if len(puts) == _BATCH_ENTRIES:
                return puts, None, False
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return puts, None, False
        return puts, item, item is None

    def _commit(self, connection: sqlite3.Connection, puts: list[tuple[bytes, Entry]]) -> None:
        now = self._clock()
        with transaction(connection):
            connection.executemany(
                "INSERT OR REPLACE INTO entries (key, stored, used, record) VALUES (?, ?, ?, ?)",
                [(key, entry.stored, now, entry.packed(key)) for key, entry in puts],
            )
            if now - self._swept > _SWEEP_SECONDS:
                self._swept = now
                connection.execute("DELETE FROM entries WHERE stored < ?", (now - self._keep_seconds,))
            self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> None:
        while bytes_of(connection) > self._max_bytes:
            dropped = connection.execute(
                "DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY used LIMIT max(16, "
                "(SELECT count(*) FROM entries) / 20))",
            )
            if not dropped.rowcount:
                return

    def _replace(self, connection: sqlite3.Connection, error: sqlite3.Error) -> sqlite3.Connection:
        with suppress(sqlite3.Error):
            connection.close()
        self._outdated = True
        try:
            self._set_aside(error)
            connection = open_writer(self.path)
        except (sqlite3.Error, OSError) as failure:
            self._bypass.begin_for_good()
            _LOG.warning("cache %s disabled: %s", self.path, failure)
            return sqlite3.connect(":memory:")
        self._bypass = Bypass()
        return connection


class _DamagedError(Exception):
    """A reader found damage."""

    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _begin_anew(error: sqlite3.Error) -> None:
    raise _DamagedError(error)


def _many(connection: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    with transaction(connection):
        connection.executemany(statement, rows)
