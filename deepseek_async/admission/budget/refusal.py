"""Error for calls that exceed the daily budget. Pure."""

from __future__ import annotations

from deepseek_async.admission.budget.ledger import NANO
from deepseek_async.errors import BudgetExceededError


def exceeded(
    amount: int, model: str, *, spent: int, daily: float, day: str, zone: str, left: float, cheaper_model: str | None
) -> BudgetExceededError:
    """Return the error; ``amount`` and ``spent`` are nano-dollars, ``left`` the seconds until the day ends."""
    dollars, used = amount / NANO, spent / NANO
    return BudgetExceededError(
        f"daily budget exceeded: this call on {model} can cost ${dollars:.6f}, and "
        f"${max(0.0, daily - used):.6f} of ${daily:.6f} are left; not sent, retry when {day} ends in {zone} in "
        f"{left:.0f} s, raise the budget, or lower max_tokens to reserve less",
        budget=daily,
        spent=used,
        needed=dollars,
        day=day,
        retry_after=left,
        cheaper_model=cheaper_model,
    )
