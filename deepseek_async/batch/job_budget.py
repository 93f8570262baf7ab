"""Budget of a job: US dollars for one output, over all runs. Pure."""

from __future__ import annotations

from deepseek_async.call.lifecycle import Attempts


class JobBudget:
    """What a job has spent of its limit, and what the rows in flight are expected to add."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        """US dollars; None without a budget."""
        self.spent = 0.0
        """US dollars of all runs, without those billed for rows in flight."""
        self._paid = 0.0
        self._paid_rows = 0
        self._under_way: dict[Attempts, float] = {}
        """US dollars billed for failed attempts of rows that have not ended."""

    def bill(self, call: Attempts, dollars: float) -> None:
        """Record what the attempts of a row in flight were billed so far."""
        self._under_way[call] = dollars

    def ended(self, call: Attempts) -> None:
        """Forget the bill of a row that has ended; its whole cost is passed to ``pay``."""
        self._under_way.pop(call, None)

    def pay(self, cost: float) -> None:
        """Record the cost of a row of this run."""
        self.spent += cost
        self._paid += cost
        self._paid_rows += 1

    def exhausted(self, in_flight: int) -> str | None:
        """Return why no further row may start: the cost so far and that of the rows in flight exceed the limit."""
        if self.limit is None:
            return None
        billed, rows = sum(self._under_way.values()), len(self._under_way)
        spent = self.spent + billed
        # Rows in flight are expected to cost as much as the finished ones.
        mean = (self._paid + billed) / max(1, self._paid_rows + rows)
        if spent + max(0, in_flight - rows) * mean < self.limit:
            return None
        return f"budget of ${self.limit:g} exhausted: ${spent:.6g} spent, including rows in flight"
