"""What a call is told that the day's budget does not suffice for. Pure."""

from __future__ import annotations

from deepseek_async.admission.budget.ledger import NANO
from deepseek_async.errors import BudgetExceededError


def exceeded(
    amount: int, model: str, *, spent: int, daily: float, day: str, zone: str, left: float, cheaper_model: str | None
) -> BudgetExceededError:
    """``amount`` and ``spent`` in nano-dollars; ``left``: seconds until the day ends."""
    dollars, used = amount / NANO, spent / NANO
    return BudgetExceededError(
        f"the day's budget does not suffice: this call on {model} can cost ${dollars:.6f}, and "
        f"${max(0.0, daily - used):.6f} of ${daily:.6f} are left or held until {day} ends in {zone}, in {left:.0f} s. "
        "Raise the budget, or lower max_tokens so that less is held for a call",
        budget=daily,
        spent=used,
        needed=dollars,
        day=day,
        retry_after=left,
        cheaper_model=cheaper_model,
    )
