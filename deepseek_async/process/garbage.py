"""Garbage collection thresholds; only the owner of the process may change them."""

from __future__ import annotations

import gc
from typing import Final

_YOUNG_OBJECTS: Final = 50_000


def relax_garbage_collection() -> None:
    """Collect garbage less often, and exempt all objects created at start-up.

    At 1,000 calls in flight the collector takes 22 % of the CPU: tasks, futures and buffers live long enough to
    be visited repeatedly, and few of them are part of a cycle. The owner of the process decides this, so
    commands call it and the library does not.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
