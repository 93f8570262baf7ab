"""The prices that commands count with."""

from __future__ import annotations

from deepseek_async.configuration.settings import holidays_from
from deepseek_async.pricing.prices import PriceTable, price_table


def prices() -> PriceTable:
    """The table that comes with the library, with the holidays of ``DEEPSEEK_ASYNC_HOLIDAYS``."""
    return price_table().with_holidays(holidays_from(None))
