"""Two budgets for one call: that of the client, and that of the caller on whose behalf it is made."""

from __future__ import annotations

from deepseek_async.admission.budget.budget import Budget
from deepseek_async.admission.budget.charge import Charge
from deepseek_async.types import CompletionUsage


class JointCharge:
    """Money reserved in two budgets; the same ending ends both."""

    __slots__ = ("_both", "model")

    def __init__(self, first: Charge, second: Charge) -> None:
        self._both = (first, second)
        self.model = first.model

    @property
    def dollars(self) -> float:
        """Cost in US dollars, once ended; the same in both."""
        return self._both[0].dollars

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """See ``Charge``."""
        for charge in self._both:
            charge.served(usage, model)

    def refused(self) -> None:
        """See ``Charge``."""
        for charge in self._both:
            charge.refused()

    def faulted(self, produced: int | None = None) -> None:
        """See ``Charge``."""
        for charge in self._both:
            charge.faulted(produced)

    def abandoned(self, *, sent: bool, produced: int | None = None) -> None:
        """See ``Charge``."""
        for charge in self._both:
            charge.abandoned(sent=sent, produced=produced)


class JointBudget:
    """Reserves in both budgets or in neither."""

    def __init__(self, common: Budget, own: Budget) -> None:
        self._common = common
        self._own = own

    def hold_nowait(self, most: CompletionUsage, model: str) -> JointCharge | None:
        """See ``Budget.hold_nowait``."""
        own = self._own.hold_nowait(most, model)
        if own is None:
            return None
        common = self._common.hold_nowait(most, model)
        if common is None:
            own.abandoned(sent=False)
            return None
        return JointCharge(common, own)

    async def hold(self, most: CompletionUsage, model: str) -> JointCharge:
        """See ``Budget.hold``.

        The caller's own money is held first, so that a caller who waits for it holds nothing that others wait for.
        """
        own = await self._own.hold(most, model)
        try:
            common = self._common.hold_nowait(most, model) or await self._common.hold(most, model)
        except BaseException:
            own.abandoned(sent=False)
            raise
        return JointCharge(common, own)
