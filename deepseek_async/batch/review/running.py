"""Whether a run is writing an output now."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path
from typing import Final

_OWNER: Final = re.compile(r"(\S+) pid (\d+)")


def writer_of(output: Path) -> str | None:
    """Host and process of the run that writes ``output``; None if there is none, as far as this machine can tell.

    The lock itself is asked only when the process that it names is alive: to ask is to hold it for a moment, and
    a run that starts in that moment would give up.
    """
    try:
        descriptor = os.open(output.with_name(output.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        owner = _OWNER.match(os.read(descriptor, 200).decode("utf-8", "replace"))
        if owner is None:
            return None
        if owner[1] == socket.gethostname() and not _alive(int(owner[2])):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return owner[0] if owner else None
    finally:
        os.close(descriptor)
    return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
