"""The prices that commands count with."""

from __future__ import annotations

from deepseek_async.pricing import PriceTable, price_table
from deepseek_async.settings import holidays_from


def prices() -> PriceTable:
    """The table that comes with the library, with the holidays of ``DEEPSEEK_ASYNC_HOLIDAYS``."""
    return price_table().with_holidays(holidays_from(None))
