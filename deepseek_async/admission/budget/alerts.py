"""Budget alerts, each raised once a day."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from deepseek_async.admission.budget.ledger import NANO, nano
from deepseek_async.events import BudgetAlert, tell

_LOG: Final = logging.getLogger("deepseek_async")


class Alerts:
    """Alerts of one budget, as far as this process has raised them."""

    def __init__(self, shares: tuple[float, ...], daily: float, zone: str) -> None:
        self._shares = shares
        self._daily = daily
        self._zone = zone
        self._raised: set[float] = set()

    def begin_day(self) -> None:
        """Reset all alerts."""
        self._raised = set()

    def due(self, spent: int) -> list[float]:
        """Return the alerts that ``spent`` (nano-dollars) has reached."""
        cap = nano(self._daily)
        return [share for share in self._shares if share not in self._raised and spent >= share * cap]

    def tell(
        self, due: Iterable[float], spent: int, day: str, listeners: Iterable[Callable[[BudgetAlert], Any]]
    ) -> None:
        """Raise the ``due`` alerts; other processes raised the rest."""
        self._raised.update(self.due(spent))
        for share in due:
            alert = BudgetAlert(share, spent / NANO, self._daily, day, self._zone)
            _LOG.warning(
                "%.0f %% of the budget for %s spent: $%.4f of $%g",
                *(share * 100, day, alert.spent, self._daily),
            )
            tell(listeners, alert)
