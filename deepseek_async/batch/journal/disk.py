"""System calls on an output file, in one place so that tests can inject disk failures."""

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
    """One method per system call. Each raises OSError and may be interrupted (see ``uninterrupted``)."""

    def open(self, path: Path, flags: int) -> int:
        """Open a descriptor, close-on-exec and without following symbolic links; a new file has mode 0600."""
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Return the number of bytes written, which may be fewer than given."""
        return os.write(descriptor, data)

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, data, offset)

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def sync_data(self, descriptor: int) -> None:
        """Make written data and the file size durable."""
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def status(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def status_of(self, path: Path) -> os.stat_result:
        """Return the status of the file now at that path."""
        return path.stat()

    def free(self, descriptor: int) -> int:
        """Return the bytes available on the file system."""
        status = os.fstatvfs(descriptor)
        return status.f_bavail * status.f_frsize

    def lock(self, descriptor: int) -> None:
        """Take the exclusive lock, or raise BlockingIOError. The kernel releases it when the process dies."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def lock_shared(self, descriptor: int) -> None:
        """Take a shared lock, or raise BlockingIOError while another process holds the exclusive one."""
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def unlock(self, descriptor: int) -> None:
        """Release the lock for every copy of the descriptor; closing one copy does not, while a fork holds another."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)  # noqa: PTH105  one system call by name

    def remove(self, path: Path) -> None:
        os.unlink(path)  # noqa: PTH108

    def mounts(self) -> str:
        """Return the kernel's mount table; empty if there is none."""
        with suppress(OSError):
            return _MOUNTS.read_text("utf-8", "surrogateescape")
        return ""


def uninterrupted(
    call: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """Retry ``call`` while a signal interrupts it, at most 100 times."""
    for _ in range(_INTERRUPTIONS):
        with suppress(InterruptedError):
            return call(*arguments, **named)
    return call(*arguments, **named)


def write_whole(write: Callable[[memoryview], int], data: bytes) -> None:
    """Write all of ``data`` in as many calls as needed. Raises OSError, after which part may be written."""
    rest = memoryview(data)
    while rest:
        taken = uninterrupted(write, rest)
        if taken <= 0:
            raise OSError(0, "write returned 0 bytes without an error")
        rest = rest[taken:]


def sync_folder(disk: Disk, folder: Path) -> None:
    """Make the directory entries of ``folder`` durable; syncing a new file does not."""
    descriptor = uninterrupted(disk.open, folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        uninterrupted(disk.sync, descriptor)
    except OSError as error:
        # Not supported, and not needed, on some file systems.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        with suppress(OSError):
            disk.close(descriptor)
