"""Access log: one JSON object a request, without its contents."""

from __future__ import annotations

import logging
import time
from typing import Final

import orjson

from deepseek_async.gateway.callers import mask_keys

ACCESS: Final = logging.getLogger("deepseek_async.gateway.access")


def note(*, caller: str, method: str, path: str, status: int, seconds: float) -> None:
    """Log a request that has been answered. ``path`` is without its query, which may hold anything."""
    if ACCESS.isEnabledFor(logging.INFO):
        line = {
            "at": round(time.time(), 3),
            "caller": caller,
            "method": method,
            "path": mask_keys(path[:400])[:200],
            "status": status,
            "seconds": round(seconds, 4),
        }
        ACCESS.info("%s", orjson.dumps(line).decode())
