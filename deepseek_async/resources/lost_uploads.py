"""Non-idempotent requests with a lost response: look up the result before sending again.

No endpoint has an idempotency key, and a result is billed although its response was lost (DeepSeek docs, File Parsing,
2026-11).
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
"""Seconds before each lookup of a request that may still be running: three minutes in total, the maximum duration of
OCR (DeepSeek docs, OCR)."""

SKEW: Final = 60.0
"""Seconds by which the local clock may be ahead of the server's."""

_GATEWAYS: Final = frozenset({502, 504, 520, 521, 522, 523, 524})
"""Statuses sent by intermediaries: the service itself may have continued."""

_TOO_SLOW: Final = 408
_FAILED: Final = 500

_NEVER_SENT: Final = frozenset({"unreachable", "proxy", "tls", "descriptors", "closed"})


def is_unanswered(error: APIError) -> bool:
    """Whether the service may have performed the request in spite of ``error``."""
    if isinstance(error, APIStatusError):
        return error.status_code in _GATEWAYS
    if isinstance(error, APITimeoutError):
        return error.phase != "connect" and error.attempts > 0
    if isinstance(error, APIConnectionError):
        return error.reason not in _NEVER_SENT and error.attempts > 0
    return error.attempts > 0


def has_failed_inside(error: APIError) -> bool:
    """Whether the service failed midway: a 500 does not tell how far it got."""
    return isinstance(error, InternalServerError) and not isinstance(error, ServerOverloadedError) and error.retryable


def may_be_done(error: APIError, *, whole: bool) -> bool:
    """Whether an upload may have been stored in spite of ``error``; ``whole``: it was sent completely.

    A 500 or 503 after the last byte does not tell how far the service got.
    """
    if not whole:
        return False
    status = error.status_code if isinstance(error, APIStatusError) else None
    return is_unanswered(error) or (status is not None and (status == _TOO_SLOW or status >= _FAILED))


def answered_itself(error: APIError) -> bool:
    """Whether the service itself reported the failure, so that it no longer works on the request."""
    return isinstance(error, APIStatusError) and isinstance(error.body, dict) and error.status_code not in _GATEWAYS


class LostUpload:
    """Lookup of the result of a request sent at ``began``."""

    def __init__(self) -> None:
        self._began = time.time() - SKEW

    async def find(
        self,
        listed: Callable[[], Awaitable[Iterable[T]]],
        is_it: Callable[[T], bool],
        looks: Sequence[float],
    ) -> T | None:
        """Return the first listed item created since then for which ``is_it`` is true; None if there is none.

        Exceptions of ``listed`` propagate: the result is then unknown.
        """
        for pause in looks:
            await asyncio.sleep(pause)
            for one in await listed():
                if is_it(one) and (getattr(one, "created_at", 0) or 0) >= self._began:
                    return one
        return None
