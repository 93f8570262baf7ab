"""Does a job fail for one reason, whatever its rows ask? Then it stops before the rest is sent. Pure."""

from __future__ import annotations

import re
from typing import Final

from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import DeepSeekError, InputFormatError

FIRST_ROWS: Final = 50
"""Rows that must all have failed alike: a wrong parameter or template fails them all within seconds."""

_IDENTIFIERS: Final = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{16,}\b")
"""Request and trace ids, which differ from message to message and are no part of the reason."""


class FailFast:
    """Looks at the first ``rows`` rows that end; 0 for none.

    A row that cannot be read counts neither way: it speaks of itself alone, and costs nothing. A failure that may pass
    is no reason to stop.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._failed = 0
        self._reason: tuple[object, ...] | None = None

    def add(self, result: BatchResult) -> DeepSeekError | None:
        """Take in how a row ended. The error that all have met, once that is sure and every further row would too."""
        if not self._rows:
            return None
        error = result.error
        if isinstance(error, InputFormatError):
            return None
        if error is None or error.retryable or (self._reason is not None and _reason(error) != self._reason):
            self._rows = 0
            return None
        self._reason = _reason(error)
        self._failed += 1
        if self._failed < self._rows:
            return None
        self._rows = 0
        return error


def _reason(error: DeepSeekError) -> tuple[object, ...]:
    return type(error), error.status_code, _IDENTIFIERS.sub("", error.message)
