"""Models available to a key, and the account's balance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.answer_part import Part
from deepseek_async.types.page import Page
from deepseek_async.types.unsent import Unsent


class Model(OpenAnswer):
    """A model. Only ``id``, ``object`` and ``owned_by`` are documented; the other fields were added in autumn 2026."""

    id: str = ""
    object: str = "model"
    owned_by: str = ""
    name: str | None = None
    context_window: int | None = None
    """Maximum tokens of prompt and answer together."""
    max_output_tokens: int | None = None

    created = Unsent()
    shutdown_date = Unsent()


class ModelList(Page, OpenAnswer):
    """Models available to the key; iterable."""

    object: str = "list"
    data: list[Model] = []

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    async def __aiter__(self) -> AsyncIterator[Model]:
        for entry in self.data:
            yield entry


class BalanceInfo(Part):
    """Balance in one currency."""

    currency: str = ""
    """``CNY`` or ``USD``."""
    total_balance: Decimal = Decimal(0)
    granted_balance: Decimal = Decimal(0)
    topped_up_balance: Decimal = Decimal(0)


class UserBalance(OpenAnswer):
    """Balance of the account."""

    is_available: bool = False
    """Whether the balance is sufficient for further calls."""
    balance_infos: list[BalanceInfo] = []
