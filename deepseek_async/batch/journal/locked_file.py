"""An open file that this process has locked."""

from __future__ import annotations

from contextlib import suppress

from deepseek_async.batch.journal.disk import Disk, uninterrupted
from deepseek_async.process.forks import AtFork, register


class LockedFile(AtFork):
    """A descriptor, -1 while the file is not open. ``close`` releases the lock; in a forked child nothing does."""

    def __init__(self, disk: Disk, descriptor: int = -1) -> None:
        self._disk = disk
        self._descriptor = descriptor
        register(self)

    def close(self) -> None:
        """Release the lock and close the file."""
        if self._descriptor >= 0:
            with suppress(OSError):
                uninterrupted(self._disk.unlock, self._descriptor)
        self._close()

    def after_fork_in_child(self) -> None:
        """Close the child's copy without releasing the parent's lock."""
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                self._disk.close(descriptor)
