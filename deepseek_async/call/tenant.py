"""On whose behalf calls are made: one of several users of one account, with a budget and a lane of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Budget
    from deepseek_async.admission.budget.joint_budget import JointBudget


class Tenant(msgspec.Struct, frozen=True):
    """What applies to the calls of one user of an account, beside what applies to all of the client."""

    budget: Budget | None = None
    """Money is reserved here and in the client's budget."""
    bulk: bool = False
    """Whether its calls yield to those of interactive users."""
    places: asyncio.Semaphore | None = None
    """Its cap of calls in flight. A row of a batch takes a place; for other calls whoever serves the user does."""

    def with_budget(self, common: Budget | None) -> Budget | JointBudget | None:
        """Return what its calls reserve money in, if the client's budget is ``common``."""
        if self.budget is None or common is None:
            return self.budget or common
        from deepseek_async.admission.budget.joint_budget import JointBudget  # noqa: PLC0415  brings SQLite

        return JointBudget(common, self.budget)


_CURRENT: ContextVar[Tenant | None] = ContextVar("deepseek_async_tenant", default=None)

current_tenant = _CURRENT.get
"""Return the tenant of the current context, or None."""


@contextmanager
def serving(tenant: Tenant) -> Iterator[None]:
    """Make every call in the block, and in tasks that are started in it, one of ``tenant``."""
    token = _CURRENT.set(tenant)
    try:
        yield
    finally:
        _CURRENT.reset(token)
