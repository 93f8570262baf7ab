"""Money: held before a call is sent, settled to what it cost, never more than the day's budget."""

from deepseek_async.admission.budget.budget import Budget
from deepseek_async.admission.budget.charge import Charge
from deepseek_async.admission.budget.estimate import most_usage, perhaps_used

__all__ = ["Budget", "Charge", "most_usage", "perhaps_used"]
