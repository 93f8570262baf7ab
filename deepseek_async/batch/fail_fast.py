"""Does a job fail for one reason, whatever its rows ask? Then it stops before the rest is sent. Pure."""

from __future__ import annotations

import re
from typing import Final

from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import AuthenticationError, DeepSeekError, InputFormatError, PermissionDeniedError

FIRST_ROWS: Final = 50
"""Rows that must all have failed alike: a wrong parameter or template fails them all within seconds."""

UNAUTHORIZED: Final = 5
"""Rows in a row that were told 401 by something in between, after which it is the key and no hiccup."""

_IDENTIFIERS: Final = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{16,}\b")
"""Request and trace ids, which differ from message to message and are no part of the reason."""


class FailFast:
    """Looks at the first ``rows`` rows that end, and later at as many in a row that are forbidden; 0 for none.

    A row that cannot be read counts neither way: it speaks of itself alone, and costs nothing. A failure that may pass
    is no reason to stop. A 401 that is not DeepSeek's own is one while nothing was answered with the key, or when the
    next rows meet it too.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._failed = 0
        self._reason: tuple[object, ...] | None = None
        self._limit = rows
        self._answered = False
        self._denied = 0
        """Rows in a row that were told 401 or 403."""
        self.seen = f"the first {rows:,} rows"
        """Which rows have met the error."""

    def add(self, result: BatchResult) -> DeepSeekError | None:
        """Take in how a row ended. The error that all have met, once that is sure and every further row would too."""
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
        """Why a job stops that all have met this error in."""
        return (
            f"{self.seen} all failed alike, so the others were not sent: {type(failure).__name__}: {failure.message}. "
            "Mend the cause and run the same command again, with --redo error (redo='error') for those that failed; "
            "--fail-fast 0 (fail_fast=0) goes on whatever fails"
        )

    def _forbidden(self, error: DeepSeekError | None) -> DeepSeekError | None:
        if not self._limit or self._denied < self._limit:
            return None
        self._denied, self.seen = 0, f"{self._limit:,} rows in a row"
        return error


def _reason(error: DeepSeekError) -> tuple[object, ...]:
    return type(error), error.status_code, _IDENTIFIERS.sub("", error.message)
