"""Detection of a run that is writing an output."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from deepseek_async.batch.journal.ownership import OWNER, lock_of


def writer_of(output: Path) -> str | None:
    """Return host and process of the run that writes ``output``; None if this machine can detect none.

    The lock is probed only if the process it names is alive: probing takes it for a moment, and a run that starts in
    that moment would fail.
    """
    try:
        descriptor = os.open(lock_of(output), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        # Deleted by another program; a writer has locked the output too. No run can be starting, because it would have
        # created the file.
        # have made the file.
        return "its lock file was deleted" if _is_locked(output) else None
    except OSError:
        return None
    try:
        owner = OWNER.match(os.read(descriptor, 200).decode("utf-8", "replace"))
        if owner is None:
            return None
        if owner[1] == socket.gethostname() and not _alive(int(owner[2])):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return owner[0].strip() if owner else None
    finally:
        _release(descriptor)
    return None


def _is_locked(output: Path) -> bool:
    try:
        descriptor = os.open(output, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        _release(descriptor)
    return False


def _release(descriptor: int) -> None:
    # Merely closed, the lock would be held a moment longer by a copy in a process being started.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
