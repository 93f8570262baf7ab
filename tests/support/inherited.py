"""What a process that was forked, or is being started, has of its parent's files until it closes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def copies_of_descriptors(folder: Path) -> Iterator[int]:
    """Copies of all descriptors of files in ``folder`` that are open now, as another process has them; how many."""
    copies = [os.dup(descriptor) for descriptor in _open_in(folder)]
    try:
        yield len(copies)
    finally:
        for copy in copies:
            os.close(copy)


def _open_in(folder: Path) -> list[int]:
    found = []
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # the descriptor that listed them is closed
            if entry.readlink().is_relative_to(folder):
                found.append(int(entry.name))
    return found
