"""The models a key may use, and the money behind it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.part import Part


class Model(OpenAnswer):
    """A model. Only ``id``, ``object`` and ``owned_by`` are documented; the rest is sent since autumn 2026."""

    id: str = ""
    object: str = "model"
    owned_by: str = ""
    name: str | None = None
    context_window: int | None = None
    """Tokens of prompt and answer together."""
    max_output_tokens: int | None = None


class ModelList(OpenAnswer):
    """The models that the key may use; iterate it for the models."""

    object: str = "list"
    data: list[Model] = []

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)


class BalanceInfo(Part):
    """What is left in one currency."""

    currency: str = ""
    """CNY or USD."""
    total_balance: Decimal = Decimal(0)
    granted_balance: Decimal = Decimal(0)
    topped_up_balance: Decimal = Decimal(0)


class UserBalance(OpenAnswer):
    """The account's balance."""

    is_available: bool = False
    """Whether the balance suffices for further calls."""
    balance_infos: list[BalanceInfo] = []
