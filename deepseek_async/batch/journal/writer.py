"""Journal writer: accepts lines immediately, writes them in groups on a thread, acknowledges them when durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from deepseek_async.batch.journal.disk import Disk
from deepseek_async.batch.journal.file import LOW_WATER, DiskFullError, Durability, OutputFile
from deepseek_async.batch.journal.lock import OutputLock, refuse_network
from deepseek_async.batch.journal.ownership import refuse_foreign
from deepseek_async.batch.journal.reading import OutputLines, names_in, set_aside
from deepseek_async.errors import OutputWriteError

GROUP_ROWS: Final = 256
GROUP_SECONDS: Final = 0.1
"""Maximum rows, and seconds, in a group before a sync. A sync takes about 4 ms on a virtual disk, so a sync per group
is free where a sync per row would cap a job at about 400 rows/s."""

FULL_DISK_SECONDS: Final = 60.0
"""Seconds to wait for space on a full disk; rows in flight finish meanwhile, and no more are sent."""
FULL_DISK_PAUSE: Final = 1.0

WRITE_SECONDS: Final = 0.02
"""Seconds until lines are written to the kernel, which bounds the loss if only the process dies."""

_BACKLOG: Final = 4 * GROUP_ROWS
_NAMED: Final = 5


class Written(msgspec.Struct, gc=False):
    """A durable group of lines."""

    marks: list[Any]
    """The mark appended with each line."""
    lines: list[bytes]
    offset: int
    """Offset of the first line."""


class Journal:
    """The only writer of an output file. Use in ``async with``; holds the file's lock.

    ``on_durable`` is called, on the event loop, with each group once it is durable.
    Raises OutputLockedError, OutputWriteError or ConfigurationError on entering, OutputWriteError from ``append``
    and on exit. Exceptions of ``on_durable`` are raised from ``append`` and on exit too; appended lines are written
    nevertheless.
    """

    def __init__(
        self,
        path: Path,
        on_durable: Callable[[Written], None],
        *,
        durability: Durability = Durability.GROUP,
        min_free: int = LOW_WATER,
        allow_network: bool = False,
        disk: Disk | None = None,
    ) -> None:
        self._path = path
        self._on_durable = on_durable
        self._allow_network = allow_network
        self._disk = disk or Disk()
        self._each = durability == Durability.EACH
        self._synced = durability != Durability.OS
        self._file = OutputFile(path, self._disk, min_free=min_free)
        self._lock: OutputLock | None = None
        self._lines: list[bytes] = []
        self._marks: list[Any] = []
        self._group: list[bytes] = []
        self._group_marks: list[Any] = []
        self._due = 0.0
        self._fresh = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._closing = self._hurried = False
        self._failure: Exception | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._writer: asyncio.Task[None] | None = None
        self.stalled = False
        """Whether it waits for space on a full disk."""

    async def __aenter__(self) -> Self:
        if not self._allow_network:
            refuse_network(self._path, self._disk)
        # Before the lock, because no file may be created beside a foreign file.
        refuse_foreign(self._path)
        self._lock = OutputLock.take(self._path, self._disk)
        try:
            self._file.open(self._lock.hold)
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
            # A cancellation is not replaced, even if the last group cannot be written.
            if error is None:
                raise

    @property
    def failure(self) -> Exception | None:
        """The error that ended writing, or None."""
        return self._failure

    @property
    def cut(self) -> int:
        """Bytes of an incomplete last line removed on entering."""
        return self._file.cut

    def lines(self) -> OutputLines:
        """Return a reader for the lines of earlier runs; use before appending."""
        return OutputLines(self._path)

    def set_aside(self, lines: OutputLines) -> Path | None:
        """Move the damaged ones of ``lines`` to a new file beside the output; return it, or None if there are none."""
        return set_aside(self._path, self._disk, lines.damaged) if lines.damaged else None

    def read_line(self, offset: int) -> bytes:
        """Return the line at ``offset``, without its line feed. Raises OSError."""
        line = b""
        while b"\n" not in line:
            more = self._file.read(offset + len(line), 1 << 14)
            if not more:
                break
            line += more
        return line.partition(b"\n")[0]

    async def flow(self) -> None:
        """Wait while the disk is full: nothing should be sent whose answer could not be stored.

        Raises the same errors as ``append`` if no space was freed.
        """
        await self._flowing.wait()
        if self._failure is not None:
            raise self._failure

    async def append(self, line: bytes, mark: Any) -> None:
        """Append a line. Waits only if the disk is far behind."""
        self.append_nowait(line, mark)
        if self.behind:
            await self.make_room()

    @property
    def behind(self) -> bool:
        """Whether ``make_room`` must be awaited before appending more."""
        return self._failure is not None or len(self._lines) >= _BACKLOG

    async def make_room(self) -> None:
        """Wait until the disk has caught up."""
        if self._failure is not None:
            raise self._failure
        self._room.clear()
        await self._room.wait()
        if self._failure is not None:
            raise self._failure

    def append_nowait(self, line: bytes, mark: Any) -> None:
        """Append a line regardless of backlog. A failure is raised on exit only."""
        lines = self._lines
        lines.append(line)
        self._marks.append(mark)
        if len(lines) == 1:
            self._fresh.set()
        if len(lines) + len(self._group) >= GROUP_ROWS:
            self._full.set()

    async def drain(self) -> None:
        """Wait until all appended lines are durable. Raises the same errors as ``append``."""
        while self._failure is None and (self._lines or self._group):
            self._hurried = True
            self._fresh.set()
            self._full.set()
            await self.make_room()

    async def aclose(self) -> None:
        """Write what is left, make it durable, and close file and lock."""
        if self._writer is None:
            return
        self._closing = True
        self._fresh.set()
        self._full.set()
        writer, self._writer = self._writer, None
        try:
            # Paid answers are written even while the job is being cancelled.
            await _finish_despite_cancellation(writer)
        finally:
            self._release()
        if self._failure is not None:
            raise self._failure

    async def _write_groups(self) -> None:
        try:
            await self._write_until_closed()
            if not self._synced:
                await self._in_thread(self._file.sync)
        except (OSError, DiskFullError) as error:
            self._failure = self._write_error(error)
        except Exception as error:  # noqa: BLE001  re-raised by append
            self._failure = error
        finally:
            self._go_on()
            self._room.set()

    async def _write_until_closed(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._closing and not self._lines and not self._group):
            await self._until_something_is_due(loop.time)
            size = 1 if self._each else len(self._lines)
            lines, self._lines = self._lines[:size], self._lines[size:]
            marks, self._marks = self._marks[:size], self._marks[size:]
            if not (self._lines or self._closing):
                self._fresh.clear()
            self._full.clear()
            if lines and not self._group:
                self._due = loop.time() + GROUP_SECONDS
            self._group += lines
            self._group_marks += marks
            if self._group:
                await self._write(b"".join(lines), complete=self._is_complete(loop.time()))
            self._room.set()

    async def _until_something_is_due(self, time: Callable[[], float]) -> None:
        """Return when lines must be written or a group synced."""
        if self._closing or self._each or self._hurried:
            await self._fresh.wait()
            return
        if self._group:
            await _within(self._due - time(), self._fresh)
        else:
            await self._fresh.wait()
        if self._lines and not (self._closing or self._full.is_set()):
            soon = WRITE_SECONDS if not self._group else min(WRITE_SECONDS, self._due - time())
            await _within(soon, self._full)

    def _is_complete(self, now: float) -> bool:
        """Whether the group must be acknowledged now."""
        return (
            self._closing
            or self._each
            or not self._synced
            or len(self._group) >= GROUP_ROWS
            or now >= self._due
            or self._hurried
        )

    async def _write(self, data: bytes, *, complete: bool) -> None:
        """Write lines to the kernel, waiting for space on a full disk; ``complete`` ends the group."""
        loop = asyncio.get_running_loop()
        until: float | None = None
        while True:
            try:
                await self._in_thread(self._put, data, complete)
            except DiskFullError:
                now = loop.time()
                until = until or now + FULL_DISK_SECONDS
                if now >= until:
                    raise
                self.stalled = True
                self._flowing.clear()
            else:
                break
            await asyncio.sleep(min(FULL_DISK_PAUSE, until - now))
        self._go_on()
        if complete:
            self._acknowledge()

    def _put(self, data: bytes, complete: bool) -> None:
        """Runs on the writer's thread."""
        if data:
            self._file.append(data)
        if complete and self._synced:
            self._file.sync()
        elif complete:
            self._file.leave_to_the_kernel()

    async def _in_thread(self, call: Callable[..., None], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _go_on(self) -> None:
        self.stalled = False
        self._flowing.set()

    def _acknowledge(self) -> None:
        self._hurried = False
        lines, self._group = self._group, []
        marks, self._group_marks = self._group_marks, []
        offset = self._file.end - sum(map(len, lines))
        try:
            self._on_durable(Written(marks, lines, offset))
        except Exception as error:  # noqa: BLE001  re-raised by append
            # A failing callback must not prevent paid answers from being written.
            self._failure = self._failure or error

    def _write_error(self, error: Exception) -> OutputWriteError:
        rows = names_in(self._group + self._lines)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, DiskFullError):
            reason = f"{reason}, and no space was freed within {FULL_DISK_SECONDS:.0f} s"
        named = ", ".join(rows[:_NAMED]) + (", …" if len(rows) > _NAMED else "")
        return OutputWriteError(
            f"cannot write {self._path}: {reason}. {len(rows):,} answered rows are not in it ({named}); run the same "
            "command again to resume",
            path=str(self._path),
            rows=rows,
        )

    def _release(self) -> None:
        self._thread.shutdown(wait=False)
        self._file.close()
        if self._lock is not None:
            self._lock.close()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event for at most ``seconds``."""
    if event.is_set() or seconds <= 0:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


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
