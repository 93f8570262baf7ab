"""How long a store that gives nothing has been asked, and until when it is not asked again. Pure."""

from __future__ import annotations

from typing import Final

from deepseek_async.admission.budget.store import UnansweredError

PATIENCE: Final = 30.0
"""Seconds that calls wait for the store, as SQLite does for other processes."""


class Outage:
    """Seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._quiet_until = 0.0
        self._message = ""

    @property
    def lasts(self) -> bool:
        """Whether a call that waits for money does not keep those waiting that have some."""
        return self._since is not None

    def ended(self) -> None:
        """The store has answered."""
        self._since = None

    def goes_on(self, error: UnansweredError, now: float) -> bool:
        """The store gave ``error``; whether there is any patience left."""
        if self._since is None or now - self._quiet_until > PATIENCE:
            self._since = now  # what was hours ago says nothing
        self._message, self._quiet_until = error.message, now + error.retry_in
        return now - self._since < PATIENCE

    def known(self, now: float) -> UnansweredError | None:
        """What the store said a moment ago, while it need not be asked again."""
        if self._since is None or now >= self._quiet_until:
            return None
        return UnansweredError(self._message, retry_in=self._quiet_until - now)
