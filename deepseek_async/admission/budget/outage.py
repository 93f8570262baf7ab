"""Outage of the budget store: patience and retry time. Pure."""

from __future__ import annotations

from typing import Final

from deepseek_async.admission.budget.store import UnansweredError

PATIENCE: Final = 30.0
"""Seconds that calls wait for the store, as long as SQLite waits for other processes."""


class Outage:
    """Outage state. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._quiet_until = 0.0
        self._message = ""

    @property
    def lasts(self) -> bool:
        """Whether calls with money should proceed ahead of a call that waits for the store."""
        return self._since is not None

    def ended(self) -> None:
        """Record an answer of the store."""
        self._since = None

    def goes_on(self, error: UnansweredError, now: float) -> bool:
        """Record a failure of the store; returns whether patience remains."""
        if self._since is None or now - self._quiet_until > PATIENCE:
            self._since = now  # an old failure is irrelevant
        self._message, self._quiet_until = error.message, now + error.retry_in
        return now - self._since < PATIENCE

    def known(self, now: float) -> UnansweredError | None:
        """Return the last failure while no retry is due."""
        if self._since is None or now >= self._quiet_until:
            return None
        return UnansweredError(self._message, retry_in=self._quiet_until - now)
