"""The money that the next attempt of a call can cost: how much it is, and waiting until it is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deepseek_async.call.request import Request
from deepseek_async.errors import APITimeoutError, BudgetExceededError
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget, Charge


def most_of(request: Request) -> CompletionUsage:
    """What an attempt can use at most."""
    from deepseek_async.admission.budget.estimate import most_usage  # noqa: PLC0415  brings SQLite

    most = most_usage(request.parameters, len(request.wire), request.operation)
    if request.fees is not None:
        most.fees = dict(request.fees)
    return most


def may_have_used(most: CompletionUsage, produced: int | None) -> CompletionUsage:
    """What an attempt may have used whose usage never came; ``produced`` are the characters that had come of it."""
    from deepseek_async.admission.budget.estimate import perhaps_used  # noqa: PLC0415  brings SQLite

    return perhaps_used(most, produced)


async def hold(budget: Budget, most: CompletionUsage, request: Request, model: str, until: float | None) -> Charge:
    """Money for one attempt on ``model``, or on the budget's cheaper one, as soon as it is there.

    Raises BudgetExceededError, and TimeoutError when it is not there by ``until``.
    """
    async with asyncio.timeout_at(until):
        try:
            return await budget.hold(most, model)
        except BudgetExceededError as error:
            # A cheaper model of texts draws no pictures.
            if error.cheaper_model is None or request.operation.output != "text":
                raise
            cheaper = error.cheaper_model
        return await budget.hold(most, cheaper)


def deadline_passed(waiting: str, attempts: int) -> APITimeoutError:
    """The error of a call that waits longer than it may, after so many attempts."""
    return APITimeoutError(
        f"the call's deadline would pass while it waits {waiting} (timeout.total)",
        phase="total",
        retryable=False,
        attempts=attempts,
    )
