"""Access log: one JSON object a request, without its contents."""

from __future__ import annotations

import logging
import time
from typing import Final

import orjson
from aiohttp import web

from deepseek_async.gateway.callers import mask_keys
from deepseek_async.gateway.direct_replies import UnsentReply

ACCESS: Final = logging.getLogger("deepseek_async.gateway.access")


def is_on() -> bool:
    """Whether anybody reads it."""
    return ACCESS.isEnabledFor(logging.INFO)


def note(caller: str, method: str, path: str, response: web.StreamResponse, seconds: float) -> None:
    """Log a request that has been answered. ``path`` is without its query, which may hold anything.

    The status of a caller that has left before its answer is 499, as in the log of nginx.
    """
    line = {
        "at": round(time.time(), 3),
        "caller": caller,
        "method": method,
        "path": mask_keys(path[:400])[:200],
        "status": 499 if isinstance(response, UnsentReply) else response.status,
        "seconds": round(seconds, 4),
    }
    ACCESS.info("%s", orjson.dumps(line).decode())
