"""The output file as a journal: append-only lines, written in groups, durable before they count.

Contract: a line counts as done only after ``fdatasync`` has returned; a torn last line is cut off at the next
start; a failed sync is never retried on the same descriptor, because the kernel may have marked the pages
clean and the next sync would lie (Rebello et al. 2020, "Can Applications Recover from fsync Failures?").
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from deepseek_async.batch.line import FinishedRow, decode_line
from deepseek_async.errors import OutputLockedError, OutputWriteError

GROUP_ROWS: Final = 256
GROUP_SECONDS: Final = 0.1
"""A group is synced after this many rows or seconds, whichever comes first. A sync takes about 4 ms on a
virtual disk, so groups cost nothing where a sync a row would cap a job at some 400 rows a second."""

_BACKLOG: Final = 4 * GROUP_ROWS
_TAIL_BLOCK: Final = 1 << 16


class Journal:
    """The one writer of an output file. Use it in ``async with``; it holds the file's lock.

    ``on_durable`` is called, on the event loop, with what was appended beside each line once it is on disk.
    Raises OutputLockedError or OutputWriteError on entering, OutputWriteError from ``append`` and on leaving.
    What ``on_durable`` raises comes out of ``append`` and on leaving too; what was appended is written all the
    same.
    """

    def __init__(self, path: Path, on_durable: Callable[[list[Any]], None]) -> None:
        self._path = path
        self._on_durable = on_durable
        self._descriptor = -1
        self._lock_descriptor = -1
        self._end = 0
        self._lines: list[bytes] = []
        self._marks: list[Any] = []
        self._fresh = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._writer: asyncio.Task[None] | None = None
        self.damaged = 0
        """Lines that ``finished`` could not read; their rows run again."""

    async def __aenter__(self) -> Self:
        self._lock()
        try:
            self._open()
        except BaseException:
            self._release()
            raise
        self._writer = asyncio.create_task(self._write_groups())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Exception:
            # A cancellation stays one, also when the last group cannot be written.
            if error is None:
                raise

    def finished(self) -> Iterator[FinishedRow]:
        """The rows that earlier runs have finished. Damaged lines are copied to a side file."""
        with self._path.open("rb") as file:
            for line in file:
                row = decode_line(line.rstrip(b"\n"))
                if row is not None:
                    yield row
                elif line.strip():
                    self.damaged += 1
                    self._set_aside(line)

    async def append(self, line: bytes, mark: Any) -> None:
        """Take a line. Waits only when the disk is far behind."""
        self.append_nowait(line, mark)
        if self._failure is not None:
            raise self._failure
        if len(self._lines) >= _BACKLOG:
            self._room.clear()
            await self._room.wait()
            if self._failure is not None:
                raise self._failure

    def append_nowait(self, line: bytes, mark: Any) -> None:
        """Take a line however far behind the disk is. A failure shows on leaving only."""
        self._lines.append(line)
        self._marks.append(mark)
        self._fresh.set()
        if len(self._lines) >= GROUP_ROWS:
            self._full.set()

    async def aclose(self) -> None:
        """Write what is left, make it durable, and give up file and lock."""
        if self._writer is None:
            return
        self._closing = True
        self._fresh.set()
        self._full.set()
        writer, self._writer = self._writer, None
        try:
            # What was paid for is written also while the job is being cancelled.
            await _finish_despite_cancellation(writer)
        finally:
            self._release()
        if self._failure is not None:
            raise self._failure

    async def _write_groups(self) -> None:
        try:
            await self._write_until_closed()
        except OSError as error:
            self._failure = self._write_error(error)
        except Exception as error:  # noqa: BLE001  raised to whoever appends
            self._failure = error
        finally:
            self._room.set()

    async def _write_until_closed(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._closing and not self._lines):
            await self._fresh.wait()
            if not self._closing and len(self._lines) < GROUP_ROWS:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), GROUP_SECONDS)
            self._fresh.clear()
            self._full.clear()
            lines, self._lines = self._lines, []
            marks, self._marks = self._marks, []
            if lines:
                await loop.run_in_executor(self._thread, self._write_durably, b"".join(lines))
                self._acknowledge(marks)
            self._room.set()

    def _acknowledge(self, marks: list[Any]) -> None:
        try:
            self._on_durable(marks)
        except Exception as error:  # noqa: BLE001  raised to whoever appends
            # A mistake in a callback must not keep answers that were paid for off the disk.
            self._failure = self._failure or error

    def _write_durably(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
            if not os.fstat(self._descriptor).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "it was deleted while the job was running")
        except OSError:
            # Whole lines or nothing: what is left of a group after a full disk would be a torn tail.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(data)

    def _write_error(self, error: OSError) -> OutputWriteError:
        return OutputWriteError(
            f"cannot write {self._path}: {error.strerror or error}. The rows that ended last are not in it; "
            "run the same command again to go on",
            path=str(self._path),
        )

    def _lock(self) -> None:
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._lock_descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise OutputWriteError(
                f"cannot create {lock}: {os.strerror(error.errno or 0)}",
                path=str(self._path),
            ) from None
        try:
            fcntl.flock(self._lock_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._lock_descriptor, 200).decode("utf-8", "replace").strip()
            os.close(self._lock_descriptor)
            raise OutputLockedError(
                f"another run is writing {self._path} ({owner or 'owner unknown'}); wait for it or stop it",
                path=str(self._path),
                owner=owner,
            ) from None
        os.ftruncate(self._lock_descriptor, 0)
        os.pwrite(self._lock_descriptor, f"{socket.gethostname()} pid {os.getpid()}\n".encode(), 0)

    def _open(self) -> None:
        try:
            self._descriptor = os.open(
                self._path,
                os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
            self._end = _end_of_last_line(self._descriptor)
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
            _sync_entry(self._path.parent)
        except OSError as error:
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)
            raise OutputWriteError(f"cannot open {self._path}: {reason}", path=str(self._path)) from None

    def _release(self) -> None:
        self._thread.shutdown(wait=False)
        for descriptor in (self._descriptor, self._lock_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock_descriptor = -1

    def _set_aside(self, line: bytes) -> None:
        side = self._path.with_name(self._path.name + ".damaged")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with open(os.open(side, flags, 0o600), "ab") as file:  # noqa: PTH123  Path.open takes no descriptor
                file.write(line)
        except OSError as error:
            raise OutputWriteError(
                f"cannot set a damaged line of {self._path} aside in {side}: {error.strerror}",
                path=str(self._path),
            ) from None


def _sync_entry(folder: Path) -> None:
    """Make a new file's name durable; syncing the file does not."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot, and need not.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _end_of_last_line(descriptor: int) -> int:
    """Offset after the last line feed. What follows it was being written when a run died."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL_BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


async def _finish_despite_cancellation(writer: asyncio.Task[None]) -> None:
    cancelled: asyncio.CancelledError | None = None
    while not writer.done():
        try:
            await asyncio.shield(writer)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    writer.result()
