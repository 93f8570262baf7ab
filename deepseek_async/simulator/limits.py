"""Account limits: concurrency per model, and balance. Pure."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepseek_async.simulator.model.catalogue import Model

_NANO = 1_000_000_000


class InFlightLimit:
    """Counts requests in flight by account and model; requests over the limit are rejected, not queued."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit  # None = the published limit of the model
        self._in_flight: Counter[tuple[str, str]] = Counter()

    def limit_of(self, model: Model, remaining: Decimal | None, per_unit: float | None) -> tuple[int, bool]:
        """Return the current limit, and whether the balance determines it."""
        limit = model.concurrency if self.limit is None else self.limit
        if remaining is None or per_unit is None:
            return limit, False
        affordable = max(1, int(float(remaining) * per_unit))
        return (affordable, True) if affordable < limit else (limit, False)

    def in_flight(self, account: str, model: Model) -> int:
        return self._in_flight[account, model.id]

    def enter(self, account: str, model: Model) -> None:
        self._in_flight[account, model.id] += 1

    def leave(self, account: str, model: Model) -> None:
        self._in_flight[account, model.id] -= 1
        if not self._in_flight[account, model.id]:
            del self._in_flight[account, model.id]


class Balances:
    """Balance of each account in billionths of the currency unit, to avoid rounding."""

    def __init__(self, opening: Decimal | None, *, peak: bool) -> None:
        self._opening = None if opening is None else int(opening * _NANO)
        self._factor = 2 if peak else 1
        self._spent: Counter[str] = Counter()

    def remaining(self, account: str) -> Decimal | None:
        """Return the balance; None if unlimited."""
        if self._opening is None:
            return None
        return Decimal(max(0, self._opening - self._spent[account])) / _NANO

    def exhausted(self, account: str) -> bool:
        return self._opening is not None and self._spent[account] >= self._opening

    def described(self, account: str, currency: str) -> dict[str, Any]:
        """Return the body of `/user/balance`."""
        remaining = self.remaining(account)
        total = "100.00" if remaining is None else f"{remaining:.2f}"
        info = {
            "currency": currency,
            "total_balance": total,
            "granted_balance": "0.00",
            "topped_up_balance": total,
        }
        return {"is_available": not self.exhausted(account), "balance_infos": [info]}

    def pay(self, account: str, nano: int) -> None:
        """Deduct a fee, in billionths."""
        self._spent[account] += nano

    def charge(self, account: str, model: Model, *, hit: int, miss: int, output: int) -> int:
        """Deduct the cost of a completion and return it, in billionths."""
        cost = (hit * model.hit_price + miss * model.miss_price + output * model.output_price) * self._factor
        self._spent[account] += cost
        return cost
