"""Budget reservation for the next attempt of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deepseek_async.call.request import Request
from deepseek_async.errors import APITimeoutError, BudgetExceededError
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.admission.budget.charge import Reservation
    from deepseek_async.admission.budget.joint_budget import JointBudget


def most_of(request: Request) -> CompletionUsage:
    """Return the maximum usage of one attempt."""
    from deepseek_async.admission.budget.estimate import most_usage  # noqa: PLC0415  brings SQLite

    most = most_usage(request.parameters, len(request.wire), request.operation)
    if request.fees is not None:
        most.fees = dict(request.fees)
    return most


def may_have_used(most: CompletionUsage, produced: int | None) -> CompletionUsage:
    """Bound the usage of an attempt that reported none, after ``produced`` characters of its answer."""
    from deepseek_async.admission.budget.estimate import perhaps_used  # noqa: PLC0415  brings SQLite

    return perhaps_used(most, produced)


async def hold(
    budget: Budget | JointBudget, most: CompletionUsage, request: Request, model: str, until: float | None
) -> Reservation:
    """Wait for budget for one attempt on ``model``, or on the budget's cheaper model.

    Raises BudgetExceededError, and TimeoutError when it is not available by ``until``.
    """
    async with asyncio.timeout_at(until):
        try:
            return await budget.hold(most, model)
        except BudgetExceededError as error:
            # The cheaper model produces text only.
            if error.cheaper_model is None or request.operation.output != "text":
                raise
            cheaper = error.cheaper_model
        return await budget.hold(most, cheaper)


def deadline_passed(waiting: str, attempts: int) -> APITimeoutError:
    """Build the error of a call whose deadline would pass while it is waiting."""
    return APITimeoutError(
        f"the call's deadline (timeout.total) would pass while it waits {waiting}",
        phase="total",
        retryable=False,
        attempts=attempts,
    )
