"""Fail-fast policy: stops a job whose rows all fail for the same reason. Pure."""

from __future__ import annotations

import re
from typing import Final

from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import AuthenticationError, DeepSeekError, InputFormatError, PermissionDeniedError

FIRST_ROWS: Final = 50
"""Rows that must all fail alike: a wrong parameter or template fails them all within seconds."""

UNAUTHORIZED: Final = 5
"""Consecutive rows that received a 401 from an intermediary before the key counts as rejected."""

_IDENTIFIERS: Final = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{16,}\b")
"""Request and trace ids, which differ between messages and are not part of the reason."""


class FailFast:
    """Detects an error common to the first ``rows`` results, or to as many consecutive 401 or 403; 0 disables it.

    A row that cannot be read does not count: its error concerns that row only, and costs nothing. A retryable failure
    never stops the job. A 401 that is not DeepSeek's own does if no row has been answered with the key, or if the next
    rows receive it too.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._failed = 0
        self._reason: tuple[object, ...] | None = None
        self._limit = rows
        self._answered = False
        self._denied = 0
        """Consecutive rows that received 401 or 403."""
        self.seen = f"the first {rows:,} rows"
        """The rows that met the error, for the message."""

    def add(self, result: BatchResult) -> DeepSeekError | None:
        """Count a result. Return the error common to all rows once every further row is certain to fail with it."""
        error = result.error
        if isinstance(error, InputFormatError):
            return None
        denied = isinstance(error, AuthenticationError | PermissionDeniedError)
        self._denied = self._denied + 1 if denied else 0
        self._answered = self._answered or error is None
        if isinstance(error, AuthenticationError):
            passing = self._answered and not error.key_refused and self._denied < UNAUTHORIZED
            return None if passing else error
        if not self._rows:
            return self._forbidden(error)
        if error is None or error.retryable or (self._reason is not None and _reason(error) != self._reason):
            self._rows = 0
            return None
        self._reason = _reason(error)
        self._failed += 1
        if self._failed < self._rows:
            return None
        self._rows = 0
        return error

    def told(self, failure: DeepSeekError) -> str:
        """Return the message for a job stopped by this error."""
        return (
            f"{self.seen} all failed with the same error, remaining rows not sent: {type(failure).__name__}: "
            f"{failure.message}. Fix the cause and run the same command again, with --redo error (redo='error') for "
            "the failed rows; --fail-fast 0 (fail_fast=0) disables this check"
        )

    def _forbidden(self, error: DeepSeekError | None) -> DeepSeekError | None:
        if not self._limit or self._denied < self._limit:
            return None
        self._denied, self.seen = 0, f"{self._limit:,} consecutive rows"
        return error


def _reason(error: DeepSeekError) -> tuple[object, ...]:
    return type(error), error.status_code, _IDENTIFIERS.sub("", error.message)
