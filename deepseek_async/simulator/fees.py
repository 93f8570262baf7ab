"""Bills for what is paid by the piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepseek_async.simulator.faults import TELLS_ALL
from deepseek_async.simulator.ledger import Bill
from deepseek_async.simulator.services.tariff import nano_dollars, nano_yuan

if TYPE_CHECKING:
    from deepseek_async.simulator.exchange import Exchange
    from deepseek_async.simulator.ledger import Ledger
    from deepseek_async.simulator.limits import Balances


class Fees:
    """Writes them into the ledger and takes them from the balance, which is in one `currency`."""

    def __init__(self, ledger: Ledger, balances: Balances, currency: str) -> None:
        self._ledger = ledger
        self._balances = balances
        self._in_yuan = currency == "CNY"

    def bill(self, exchange: Exchange, fees: Mapping[str, int], name: str) -> None:
        """One request that was worked on, whether or not anybody waited for the end."""
        bill = Bill(
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
        self._balances.pay(exchange.account, bill.nano_yuan if self._in_yuan else bill.nano_dollars)
        self._ledger.add(bill)
