"""Who is told, once a day each, that a share of the budget is spent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from deepseek_async.admission.budget.ledger import NANO, nano
from deepseek_async.events import BudgetAlert, tell

_LOG: Final = logging.getLogger("deepseek_async")


class Alerts:
    """Of one budget, as far as this process has raised them."""

    def __init__(self, shares: tuple[float, ...], daily: float, zone: str) -> None:
        self._shares = shares
        self._daily = daily
        self._zone = zone
        self._raised: set[float] = set()

    def begin_day(self) -> None:
        """None is raised yet."""
        self._raised = set()

    def due(self, spent: int) -> list[float]:
        """Those that ``spent`` nano-dollars have passed."""
        cap = nano(self._daily)
        return [share for share in self._shares if share not in self._raised and spent >= share * cap]

    def tell(
        self, due: Iterable[float], spent: int, day: str, listeners: Iterable[Callable[[BudgetAlert], Any]]
    ) -> None:
        """Raise those that are ``due``. What else is passed has been raised by another process."""
        self._raised.update(self.due(spent))
        for share in due:
            alert = BudgetAlert(share, spent / NANO, self._daily, day, self._zone)
            _LOG.warning(
                "%.0f %% of the budget of %s is spent: $%.4f of $%g",
                *(share * 100, day, alert.spent, self._daily),
            )
            tell(listeners, alert)
