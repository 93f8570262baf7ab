"""Billing of fees: charges other than tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deepseek_async.simulator.faults import TELLS_ALL
from deepseek_async.simulator.ledger import LedgerEntry
from deepseek_async.simulator.services.tariff import nano_dollars, nano_yuan
from deepseek_async.simulator.wire import refusals

if TYPE_CHECKING:
    from deepseek_async.simulator.exchange import ServedRequest
    from deepseek_async.simulator.ledger import Ledger
    from deepseek_async.simulator.limits import Balances
    from deepseek_async.simulator.settings import SimulatorSettings
    from deepseek_async.simulator.wire.refusals import Refusal

LIMITED_AT_ONCE = frozenset({"ocr", "speak", "converse", "transcribe"})


class Fees:
    """Records fees in the ledger and deducts them from balances, which are in one `currency`."""

    def __init__(self, ledger: Ledger, balances: Balances, settings: SimulatorSettings) -> None:
        self._ledger = ledger
        self._balances = balances
        self._in_yuan = settings.currency == "CNY"
        self._at_once = settings.tools_at_once
        self._under_way: Counter[tuple[str, str]] = Counter()

    def refusal(self, exchange: ServedRequest) -> Refusal | None:
        """Return the error if the account's limit or balance does not allow the request now."""
        if self._balances.exhausted(exchange.account):
            return refusals.insufficient_balance()
        under_way = self._under_way[exchange.account, exchange.route.name]
        if self._at_once is not None and exchange.route.name in LIMITED_AT_ONCE and under_way >= self._at_once:
            return refusals.envelope(429, f"At most {self._at_once} requests at a time", "rate_limit_error")
        return None

    @contextmanager
    def worked_on(self, exchange: ServedRequest, fees: Mapping[str, int], name: str) -> Iterator[None]:
        """Count the request as in flight, and bill it at the end, whether or not the client waited."""
        key = exchange.account, exchange.route.name
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            self.bill(exchange, fees, name)

    def pay(self, exchange: ServedRequest, fees: Mapping[str, int]) -> int:
        """Deduct the fees; return them in nano-dollars."""
        if not fees:
            return 0
        dollars = nano_dollars(fees)
        self._balances.pay(exchange.account, nano_yuan(fees) if self._in_yuan else dollars)
        return dollars

    def bill(self, exchange: ServedRequest, fees: Mapping[str, int], name: str) -> None:
        """Bill one processed request, whether or not the client waited for its end."""
        bill = LedgerEntry(
            id=name,
            account=exchange.account,
            path=exchange.record.path,
            model="",
            cache_hit_tokens=0,
            cache_miss_tokens=0,
            completion_tokens=0,
            reasoning_tokens=0,
            nano_dollars=nano_dollars(fees),
            usage_sent=exchange.fault is None or exchange.fault.kind in TELLS_ALL,
            fees=fees,
            nano_yuan=nano_yuan(fees),
        )
        self.pay(exchange, fees)
        self._ledger.add(bill)
