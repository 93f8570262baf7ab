"""One writer for each output: a lock beside it that the kernel gives back, whatever becomes of its holder."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from deepseek_async.batch.journal.disk import Disk, uninterrupted, write_whole
from deepseek_async.errors import ConfigurationError, OutputLockedError, OutputWriteError

# Where a lock or a sync may be a promise of this machine alone. 9p and virtiofs are left out: they are how
# virtual machines see a disk of their host.
_NETWORK: Final = re.compile(r"nfs|cifs|smb|ceph|gluster|lustre|beegfs|gpfs|afs|ncpfs|davfs|sshfs|s3fs|gcsfuse|rclone")


class OutputLock:
    """The lock of one output. The file stays: were it deleted, two runs could each lock a file of that name."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self._disk = disk
        self._descriptor = descriptor

    @classmethod
    def take(cls, output: Path, disk: Disk) -> Self:
        """Take the lock at once. Raises OutputLockedError, which names the holder, or OutputWriteError."""
        path = output.with_name(output.name + ".lock")
        try:
            descriptor = uninterrupted(disk.open, path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _unusable(path, output, error) from None
        lock = cls(disk, descriptor)
        try:
            uninterrupted(disk.lock, descriptor)
        except BlockingIOError:
            owner = lock._owner()
            lock.release()
            raise OutputLockedError(
                f"another run is writing {output} ({owner or 'owner unknown'}); wait for it or stop it",
                path=str(output),
                owner=owner,
            ) from None
        except OSError as error:
            lock.release()
            raise _unusable(path, output, error) from None
        # Who holds it is said for people; the lock holds without.
        with suppress(OSError):
            uninterrupted(disk.truncate, descriptor, 0)
            name = f"{socket.gethostname()} pid {os.getpid()}\n".encode()
            write_whole(lambda rest: disk.write_at(descriptor, rest, 0), name)
        return lock

    def release(self) -> None:
        """Give the lock back."""
        with suppress(OSError):
            self._disk.close(self._descriptor)

    def _owner(self) -> str:
        with suppress(OSError):
            return uninterrupted(self._disk.read_at, self._descriptor, 200, 0).decode("utf-8", "replace").strip()
        return ""


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
    return OutputWriteError(f"cannot create {path}: {os.strerror(error.errno or 0)}", path=str(output))
