"""The money held for one attempt, and what each of its endings means for it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from deepseek_async.admission.budget.estimate import perhaps_used
from deepseek_async.admission.budget.ledger import NANO, Ledger, nano
from deepseek_async.pricing.prices import Meter
from deepseek_async.types import CompletionUsage


class Settled(Protocol):
    """Who is told that a charge has ended."""

    def settled(self, charge: Charge, used: int) -> None:
        """``charge`` has cost ``used`` nano-dollars."""
        ...


class Charge(msgspec.Struct, gc=False, eq=False):
    """Ends exactly once; a second ending does nothing.

    | ending | money |
    |---|---|
    | ``served(usage)`` | what the usage costs, also a corrected one; all that was held if nothing is known of it |
    | ``refused()``: an error status, or no connection | nothing |
    | ``faulted()``: reset, timeout, a stream that broke off | what may have been made: the server bills it |
    | ``abandoned(sent=…)``: we gave up | what may have been made if it was sent |

    What may have been made is all that was held, unless ``produced`` says how much of a stream had come: see
    ``perhaps_used``.
    """

    ledger: Ledger
    amount: int
    """Nano-dollars held."""
    most: CompletionUsage
    """What they are held for."""
    model: str
    at: float
    """When it was held, in seconds since 1970: the hour that decides about the price."""
    tag: str
    _meter: Meter
    _owner: Settled
    used: int = 0
    """Nano-dollars that it has cost, once it has ended."""
    _open: bool = True

    __repr__ = object.__repr__

    @property
    def dollars(self) -> float:
        """US dollars that it has cost, once it has ended."""
        return self.used / NANO

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """The attempt gave an answer, from ``model`` if the server named one."""
        if usage is None:
            # What was held is the most that it can have cost.
            self._end(self.amount)
        else:
            self._end(nano(self._meter.rate_of(model, self.model, self.at).cost(usage)))

    def refused(self) -> None:
        """The server answered with an error status."""
        self._end(0)

    def faulted(self, produced: int | None = None) -> None:
        """The attempt failed after the server may have begun, and had ``produced`` so many characters of a stream."""
        self._end(self._perhaps_made(produced))

    def abandoned(self, *, sent: bool, produced: int | None = None) -> None:
        """We gave the attempt up ourselves."""
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
