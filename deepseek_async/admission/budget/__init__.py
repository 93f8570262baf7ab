"""Daily budget: money is reserved before a call is sent and settled to its cost, never exceeding the budget."""

from deepseek_async.admission.budget.budget import Budget
from deepseek_async.admission.budget.charge import Charge
from deepseek_async.admission.budget.estimate import most_usage, perhaps_used

__all__ = ["Budget", "Charge", "most_usage", "perhaps_used"]
