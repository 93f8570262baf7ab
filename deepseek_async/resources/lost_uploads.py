"""Requests that leave something behind, and whose answer was lost: they are looked for before they are sent again.

No endpoint has an idempotency key, and what was made is billed although nobody was told of it (DeepSeek docs, File
Parsing, 2026-11).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    InternalServerError,
    ServerOverloadedError,
)

T = TypeVar("T")

LOOKS: Final[Sequence[float]] = (0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0, 30.0, 30.0)
"""Seconds before each look for what may still be under way: three minutes, as long as OCR takes at most (DeepSeek
docs, OCR)."""

SKEW: Final = 60.0
"""Seconds by which this machine's clock may be ahead of the server's."""

_GATEWAYS: Final = frozenset({502, 504, 520, 521, 522, 523, 524})
"""Statuses of what stands between: the service itself may have gone on."""

_TOO_SLOW: Final = 408
_FAILED: Final = 500

_NEVER_SENT: Final = frozenset({"unreachable", "proxy", "tls", "descriptors", "closed"})


def is_unanswered(error: APIError) -> bool:
    """Whether the service may have done what it was asked for, although the answer is ``error``."""
    if isinstance(error, APIStatusError):
        return error.status_code in _GATEWAYS
    if isinstance(error, APITimeoutError):
        return error.phase != "connect" and error.attempts > 0
    if isinstance(error, APIConnectionError):
        return error.reason not in _NEVER_SENT and error.attempts > 0
    return error.attempts > 0


def has_failed_inside(error: APIError) -> bool:
    """Whether the service broke off in the middle of what it was asked for: a 500 says nothing of how far it came."""
    return isinstance(error, InternalServerError) and not isinstance(error, ServerOverloadedError) and error.retryable


def may_be_done(error: APIError, *, whole: bool) -> bool:
    """Whether an upload may have been stored, although its answer is ``error``; ``whole``: the server may have it all.

    A 500 or 503 after the last byte says nothing of how far the service came.
    """
    if not whole:
        return False
    status = error.status_code if isinstance(error, APIStatusError) else None
    return is_unanswered(error) or (status is not None and (status == _TOO_SLOW or status >= _FAILED))


def answered_itself(error: APIError) -> bool:
    """Whether the service itself has said that it failed, so that it is done with what it was asked for."""
    return isinstance(error, APIStatusError) and isinstance(error.body, dict) and error.status_code not in _GATEWAYS


class LostUpload:
    """Looks for what a request since ``began`` may have left behind."""

    def __init__(self) -> None:
        self._began = time.time() - SKEW

    async def find(
        self,
        listed: Callable[[], Awaitable[Iterable[T]]],
        is_it: Callable[[T], bool],
        looks: Sequence[float],
    ) -> T | None:
        """The first of what ``listed`` gives that ``is_it``, and was made since then. None if there is none.

        What ``listed`` raises is raised: then nobody knows.
        """
        for pause in looks:
            await asyncio.sleep(pause)
            for one in await listed():
                if is_it(one) and (getattr(one, "created_at", 0) or 0) >= self._began:
                    return one
        return None
