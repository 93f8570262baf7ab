"""The system calls that are made on an output file, in one place: what a test wraps to make a disk fail."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_INTERRUPTIONS: Final = 100
_MOUNTS: Final = Path("/proc/self/mountinfo")


class Disk:
    """One method a system call. Each raises OSError; each may be interrupted (see ``uninterrupted``)."""

    def open(self, path: Path, flags: int) -> int:
        """A descriptor, closed in child processes and never behind a symbolic link; a new file is its owner's only."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Bytes taken, which may be fewer than there are."""
        return os.write(descriptor, data)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync_data(self, descriptor: int) -> None:
        """Make what was written durable, and the size with it."""
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def status(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def status_of(self, path: Path) -> os.stat_result:
        """What is there under that name now."""
        return path.stat()

    def free(self, descriptor: int) -> int:
        """Bytes that may still be written to the file system."""
        status = os.fstatvfs(descriptor)
        return status.f_bavail * status.f_frsize

    def lock(self, descriptor: int) -> None:
        """The exclusive lock, or BlockingIOError at once. The kernel gives it back when the process dies."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def lock_shared(self, descriptor: int) -> None:
        """A lock that others may have too, but not while one has the exclusive lock; else BlockingIOError at once."""
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def unlock(self, descriptor: int) -> None:
        """Give the lock back for every copy of the descriptor: closing one does not, while a fork has another."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)  # noqa: PTH105  one call by its name

    def remove(self, path: Path) -> None:
        os.unlink(path)  # noqa: PTH108

    def mounts(self) -> str:
        """The kernel's table of mounted file systems; empty where there is none."""
        with suppress(OSError):
            return _MOUNTS.read_text("utf-8", "surrogateescape")
        return ""


def uninterrupted(
    call: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """``call`` again for as long as a signal interrupts it: nothing was done. A hundred times in a row is an error."""
    for _ in range(_INTERRUPTIONS):
        with suppress(InterruptedError):
            return call(*arguments, **named)
    return call(*arguments, **named)


def write_whole(write: Callable[[memoryview], int], data: bytes) -> None:
    """Hand ``data`` over in as many pieces as ``write`` takes it in. Raises OSError; part of it may be written then."""
    rest = memoryview(data)
    while rest:
        taken = uninterrupted(write, rest)
        if taken <= 0:
            raise OSError(0, "the disk takes no more bytes and does not say why")
        rest = rest[taken:]


def sync_folder(disk: Disk, folder: Path) -> None:
    """Make the names in a folder durable; syncing a new file does not."""
    descriptor = uninterrupted(disk.open, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        uninterrupted(disk.sync, descriptor)
    except OSError as error:
        # Some file systems cannot, and need not.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        with suppress(OSError):
            disk.close(descriptor)
