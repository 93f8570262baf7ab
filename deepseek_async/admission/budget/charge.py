"""Charge: money reserved for one attempt, settled by its ending."""

from __future__ import annotations

from typing import Protocol

import msgspec

from deepseek_async.admission.budget.estimate import perhaps_used
from deepseek_async.admission.budget.ledger import NANO, Ledger, nano
from deepseek_async.pricing.prices import Meter
from deepseek_async.types import CompletionUsage


class ChargeListener(Protocol):
    """Callback interface for the end of a charge."""

    def settled(self, charge: Charge, used: int) -> None:
        """Record that ``charge`` has cost ``used`` nano-dollars."""
        ...


class Reservation(Protocol):
    """Money reserved for one attempt: see ``Charge``."""

    @property
    def model(self) -> str:
        """The model it was reserved for."""
        ...

    @property
    def dollars(self) -> float:
        """Cost in US dollars, once ended."""
        ...

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """End with an answer."""
        ...

    def refused(self) -> None:
        """End with an error status."""
        ...

    def faulted(self, produced: int | None = None) -> None:
        """End with a failure after the server may have started."""
        ...

    def abandoned(self, *, sent: bool, produced: int | None = None) -> None:
        """End an attempt that the client cancelled."""
        ...


class Charge(msgspec.Struct, gc=False, eq=False):
    """Reservation for one attempt. Ends exactly once; ending it again has no effect.

    | ending | cost |
    |---|---|
    | ``served(usage)`` | cost of the usage, corrected if necessary; the whole reservation if usage is unknown |
    | ``refused()``: error status, or no connection | nothing |
    | ``faulted()``: reset, timeout, broken stream | what may have been generated, because the server bills it |
    | ``abandoned(sent=…)``: cancelled by the client | what may have been generated if it was sent |

    What may have been generated is the whole reservation, unless ``produced`` says how much of a stream had
    arrived: see ``perhaps_used``.
    """

    ledger: Ledger
    amount: int
    """Nano-dollars reserved."""
    most: CompletionUsage
    """Maximum usage that the reservation covers."""
    model: str
    at: float
    """Unix time of the reservation, which determines the price."""
    tag: str
    _meter: Meter
    _owner: ChargeListener
    used: int = 0
    """Cost in nano-dollars, once ended."""
    _open: bool = True

    __repr__ = object.__repr__

    @property
    def dollars(self) -> float:
        """Cost in US dollars, once ended."""
        return self.used / NANO

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """End with an answer, from ``model`` if the server named one."""
        if usage is None:
            # The reservation is the maximum possible cost.
            self._end(self.amount)
        else:
            self._end(nano(self._meter.rate_of(model, self.model, self.at).cost(usage)))

    def refused(self) -> None:
        """End with an error status."""
        self._end(0)

    def faulted(self, produced: int | None = None) -> None:
        """End with a failure after the server may have started; ``produced`` characters of a stream had arrived."""
        self._end(self._perhaps_made(produced))

    def abandoned(self, *, sent: bool, produced: int | None = None) -> None:
        """End an attempt that the client cancelled."""
        self._end(self._perhaps_made(produced) if sent else 0)

    def _perhaps_made(self, produced: int | None) -> int:
        if produced is None:
            return self.amount
        usage = perhaps_used(self.most, produced)
        return min(self.amount, nano(self._meter.rate_of(None, self.model, self.at).cost(usage)))

    def _end(self, used: int) -> None:
        if self._open:
            self._open = False
            self.used = used
            self._owner.settled(self, used)
