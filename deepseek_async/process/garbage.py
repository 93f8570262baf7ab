"""How often garbage is collected, which is for whoever owns the process to say."""

from __future__ import annotations

import gc
from typing import Final

_YOUNG_OBJECTS: Final = 50_000


def relax_garbage_collection() -> None:
    """Collect garbage less often, and never again what start-up has made.

    At 1,000 calls in flight the collector takes 22 % of the CPU: tasks, futures and buffers live long enough to
    be visited again and again, and hardly any of them is part of a cycle. That choice belongs to whoever owns
    the process, so a command makes it and the library does not.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
