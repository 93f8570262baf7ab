"""Price table of the commands."""

from __future__ import annotations

from deepseek_async.configuration.settings import holidays_from
from deepseek_async.pricing.prices import PriceTable, price_table


def prices() -> PriceTable:
    """Return the built-in table with the holidays in ``DEEPSEEK_ASYNC_HOLIDAYS``."""
    return price_table().with_holidays(holidays_from(None))
