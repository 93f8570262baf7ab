"""One writer for each output: a lock beside it that the kernel gives back, whatever becomes of its holder."""

from __future__ import annotations

import errno
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from deepseek_async.batch.journal.disk import Disk, uninterrupted, write_whole
from deepseek_async.batch.journal.ownership import LONGEST_NAME, lock_of, refuse_foreign_lock
from deepseek_async.errors import ConfigurationError, OutputLockedError, OutputWriteError
from deepseek_async.process.forks import AtFork, register

# Where a lock or a sync may be a promise of this machine alone. 9p and virtiofs are left out: they are how
# virtual machines see a disk of their host.
_NETWORK: Final = re.compile(r"nfs|cifs|smb|ceph|gluster|lustre|beegfs|gpfs|afs|ncpfs|davfs|sshfs|s3fs|gcsfuse|rclone")


class OutputLock(AtFork):
    """The lock of one output: a file beside it, which names the holder and outlives a rename of the output.

    The file stays: were it deleted, two runs could each lock a file of that name. In case somebody else deletes it,
    whoever holds it locks the output too, once that is open (``hold``).
    """

    def __init__(self, output: Path, disk: Disk, descriptor: int) -> None:
        self._output = output
        self._disk = disk
        self._descriptor = descriptor
        register(self)

    @classmethod
    def take(cls, output: Path, disk: Disk) -> Self:
        """Take the lock at once. Raises OutputLockedError, which names the holder, or OutputWriteError."""
        path = lock_of(output)
        try:
            if path.exists() and not path.is_file():
                raise OSError(errno.EEXIST, "it is no regular file")  # noqa: TRY301
            descriptor = uninterrupted(disk.open, path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _unusable(path, output, error) from None
        lock = cls(output, disk, descriptor)
        try:
            uninterrupted(disk.lock, descriptor)
            refuse_foreign_lock(path, lock._said(), output)
        except BlockingIOError:
            owner = lock._said().decode("utf-8", "replace").strip()
            lock.release()
            raise _taken(output, owner) from None
        except OSError as error:
            lock.release()
            raise _unusable(path, output, error) from None
        except OutputWriteError:
            lock.release()
            raise
        return lock

    def hold(self, descriptor: int, *, shared: bool = False) -> None:
        """Lock the output itself, which is open, and say who holds it. Raises OutputLockedError and OSError.

        ``shared`` is for somebody who only reads it.
        """
        disk = self._disk
        try:
            uninterrupted(disk.lock_shared if shared else disk.lock, descriptor)
        except BlockingIOError:
            if not self._said():
                # Made by us in the place of one that was deleted; left, it would say that nobody writes.
                with suppress(OSError):
                    disk.remove(lock_of(self._output))
            raise _taken(self._output, "") from None
        self._sign()

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            with suppress(OSError):
                uninterrupted(self._disk.unlock, self._descriptor)
        self._close()

    def after_fork_in_child(self) -> None:
        """Close the child's copy, and leave the lock to the parent."""
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                self._disk.close(descriptor)

    def _sign(self) -> None:
        """Who holds it is said for people; the lock holds without."""
        disk, descriptor = self._disk, self._descriptor
        name = f"{socket.gethostname()} pid {os.getpid()}\n".encode()
        with suppress(OSError):
            uninterrupted(disk.truncate, descriptor, 0)
            try:
                write_whole(lambda rest: disk.write_at(descriptor, rest, len(name) - len(rest)), name)
            except OSError:
                # Half a name is not known again.
                uninterrupted(disk.truncate, descriptor, 0)

    def _said(self) -> bytes:
        with suppress(OSError):
            return uninterrupted(self._disk.read_at, self._descriptor, LONGEST_NAME, 0)
        return b""


def _taken(output: Path, owner: str) -> OutputLockedError:
    return OutputLockedError(
        f"another run is writing {output} ({owner or 'owner unknown'}); wait for it or stop it",
        path=str(output),
        owner=owner,
    )


def refuse_network(output: Path, disk: Disk) -> None:
    """Raise ConfigurationError if ``output`` is on a network file system."""
    kind = file_system(output, disk.mounts())
    if kind is not None and _NETWORK.search(kind):
        raise ConfigurationError(
            f"{output} is on a network file system ({kind}), where neither the lock nor the sync of a finished row can "
            "be trusted. Write to a local disk and copy the output afterwards, or allow it "
            "(allow_network=True, --allow-network)",
        )


def file_system(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds ``path``, by a table in the form of Linux's mountinfo; None if unknown."""
    real = path.resolve()
    found, depth = None, -1
    for line in mounts.splitlines():
        place, separator, source = line.partition(" - ")
        fields, kind = place.split(" "), source.split(" ")[0]
        if not separator or len(fields) < 5 or not kind:
            continue
        point = Path(_unescaped(fields[4]))
        # Later lines are mounted over earlier ones.
        if real.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _unusable(path: Path, output: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"cannot create {path}: {error.strerror}", path=str(output))
