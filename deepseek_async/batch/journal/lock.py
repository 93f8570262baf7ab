"""Output lock: one writer per output, by a lock file that the kernel releases when its holder exits."""

from __future__ import annotations

import errno
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from deepseek_async.batch.journal.disk import Disk, uninterrupted, write_whole
from deepseek_async.batch.journal.locked_file import LockedFile
from deepseek_async.batch.journal.ownership import LONGEST_NAME, lock_of, refuse_foreign_lock
from deepseek_async.errors import ConfigurationError, OutputLockedError, OutputWriteError

# File systems whose lock or sync may be local to one machine. 9p and virtiofs are excluded: virtual machines use
# them for disks of their host.
_NETWORK: Final = re.compile(r"nfs|cifs|smb|ceph|gluster|lustre|beegfs|gpfs|afs|ncpfs|davfs|sshfs|s3fs|gcsfuse|rclone")


class OutputLock(LockedFile):
    """Lock of one output: a file beside it that names the holder and survives a rename of the output.

    The file is never deleted: otherwise two runs could each lock a file of that name. In case another program deletes
    it, the holder locks the output too, once that is open (``hold``).
    """

    def __init__(self, output: Path, disk: Disk, descriptor: int) -> None:
        super().__init__(disk, descriptor)
        self._output = output

    @classmethod
    def take(cls, output: Path, disk: Disk) -> Self:
        """Take the lock without waiting. Raises OutputLockedError, which names the holder, or OutputWriteError."""
        path = lock_of(output)
        try:
            if path.exists() and not path.is_file():
                raise OSError(errno.EEXIST, "not a regular file")  # noqa: TRY301
            descriptor = uninterrupted(disk.open, path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise _unusable(path, output, error) from None
        lock = cls(output, disk, descriptor)
        try:
            uninterrupted(disk.lock, descriptor)
            refuse_foreign_lock(path, lock._said(), output)
        except BlockingIOError:
            owner = lock._said().decode("utf-8", "replace").strip()
            lock.close()
            raise _taken(output, owner) from None
        except OSError as error:
            lock.close()
            raise _unusable(path, output, error) from None
        except OutputWriteError:
            lock.close()
            raise
        return lock

    def hold(self, descriptor: int, *, shared: bool = False) -> None:
        """Lock the open output itself and name its holder. Raises OutputLockedError and OSError.

        ``shared`` is for readers.
        """
        disk = self._disk
        try:
            uninterrupted(disk.lock_shared if shared else disk.lock, descriptor)
        except BlockingIOError:
            if not self._said():
                # Created here in place of a deleted one; left behind, it would claim that there is no writer.
                with suppress(OSError):
                    disk.remove(lock_of(self._output))
            raise _taken(self._output, "") from None
        self._sign()

    def _sign(self) -> None:
        """Write the holder's name, for display only; the lock works without it."""
        disk, descriptor = self._disk, self._descriptor
        name = f"{socket.gethostname()} pid {os.getpid()}\n".encode()
        with suppress(OSError):
            uninterrupted(disk.truncate, descriptor, 0)
            try:
                write_whole(lambda rest: disk.write_at(descriptor, rest, len(name) - len(rest)), name)
            except OSError:
                # A partial name would not be recognized.
                uninterrupted(disk.truncate, descriptor, 0)

    def _said(self) -> bytes:
        with suppress(OSError):
            return uninterrupted(self._disk.read_at, self._descriptor, LONGEST_NAME, 0)
        return b""


def _taken(output: Path, owner: str) -> OutputLockedError:
    return OutputLockedError(
        f"another run is writing {output} ({owner or 'owner unknown'}): wait for it or stop it",
        path=str(output),
        owner=owner,
    )


def refuse_network(output: Path, disk: Disk) -> None:
    """Raise ConfigurationError if ``output`` is on a network file system."""
    kind = file_system(output, disk.mounts())
    if kind is not None and _NETWORK.search(kind):
        raise ConfigurationError(
            f"{output} is on a network file system ({kind}), where locks and syncs are unreliable: write to a local "
            "disk and copy the output afterwards, or allow it (allow_network=True, --allow-network)",
        )


def file_system(path: Path, mounts: str) -> str | None:
    """Return the type of the file system of ``path`` from a table in Linux mountinfo format; None if unknown."""
    real = path.resolve()
    found, depth = None, -1
    for line in mounts.splitlines():
        place, separator, source = line.partition(" - ")
        fields, kind = place.split(" "), source.split(" ")[0]
        if not separator or len(fields) < 5 or not kind:
            continue
        point = Path(_unescaped(fields[4]))
        # Later entries are mounted over earlier ones.
        if real.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _unusable(path: Path, output: Path, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"cannot create {path}: {error.strerror}", path=str(output))
