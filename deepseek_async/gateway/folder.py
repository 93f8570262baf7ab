"""The folder of one gateway: its keys, files and batches. One process holds it at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deepseek_async.errors import ConfigurationError
from deepseek_async.files.private_files import make_private_folder, open_private, reason_of, state_folder
from deepseek_async.files.replacement import replaced

_LOCK: Final = "gateway.lock"


def default_folder() -> Path:
    """Return ``gateway`` in the user's state folder."""
    return state_folder() / "gateway"


class GatewayFolder:
    """Holds an exclusive lock while open, so that no batch is run by two gateways."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def keys(self) -> Path:
        """The file of callers and the hashes of their keys."""
        return self.path / "keys.json"

    @property
    def files(self) -> Path:
        """Uploaded and produced files."""
        return self.path / "files"

    @property
    def batches(self) -> Path:
        """Records and journals of batches."""
        return self.path / "batches"

    def __enter__(self) -> Self:
        """Take the lock. Raises ConfigurationError if another gateway has it or the folder cannot be written."""
        try:
            for folder in (self.path, self.files, self.batches):
                make_private_folder(folder)
            lock = open_private(self.path / _LOCK, os.O_RDWR)
        except OSError as error:
            raise ConfigurationError(unusable(self.path, error)) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise ConfigurationError(
                f"the folder {self.path} is in use by another gateway{f' (process {holder})' if holder else ''}; "
                "stop it, or name another folder (--folder)"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            with suppress(OSError):
                os.ftruncate(lock, 0)
            os.close(lock)


def unusable(folder: Path, error: OSError) -> str:
    """Return what to say of a folder that cannot be created or written."""
    reason = "it is a file" if folder.is_file() else reason_of(error)
    return f"cannot use the folder {folder}: {reason}; name one that this user can write (--folder)"


def remove_unfinished(folder: Path) -> None:
    """Remove what ``write_whole`` had begun to write in ``folder`` when the process was killed. Raises OSError."""
    for path in folder.glob(".*.json.*"):
        path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, on disk before this returns. Raises OutputWriteError."""
    with replaced(path, force=True) as file:
        file.write(content)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
