"""What a client tells of its calls: figures, events and the ratings of its users."""

from __future__ import annotations

from deepseek_async.admission.statistics import Statistics
from deepseek_async.events import Listener, Snapshot
from deepseek_async.runtime.client_runtime import ClientRuntime


class ObservedClient:
    """Methods of a client for whoever watches it."""

    _runtime: ClientRuntime

    def statistics(self) -> Statistics:
        """Return a snapshot of running and waiting calls, with the reasons for waiting. Computed on demand."""
        return self._runtime.statistics()

    def snapshot(self) -> Snapshot:
        """Return the figures of ``statistics`` used for metrics, and the remaining budget."""
        return self._runtime.snapshot()

    def feedback(self, response_id: str, score: float) -> None:
        """Record a user's rating of the answer with this ``id``: 0 (worst) to 1 (best).

        Counted in metrics and written to the audit log. Raises ConfigurationError for a score outside 0 to 1.
        """
        self._runtime.features.rate(response_id, score)

    def add_listener(self, listener: Listener) -> None:
        """Send events of new calls to ``listener`` too. Raises ConfigurationError if it cannot be called."""
        self._runtime.add_listener(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Send no more events to ``listener``. Raises ValueError if it gets none."""
        self._runtime.remove_listener(listener)
