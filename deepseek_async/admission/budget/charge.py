"""The money held for one attempt, and what each of its endings means for it."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from deepseek_async.admission.budget.ledger import NANO, Ledger, nano
from deepseek_async.pricing import Meter
from deepseek_async.types import CompletionUsage

_UNSEEN: Final = 256
"""Tokens that the server may have made and we have not seen when we leave."""


class Settled(Protocol):
    """Who is told that a charge has ended."""

    def settled(self, charge: Charge, used: int) -> None:
        """``charge`` has cost ``used`` nano-dollars."""
        ...


class Charge(msgspec.Struct, gc=False, eq=False):
    """Ends exactly once; a second ending does nothing.

    | ending | money |
    |---|---|
    | ``served(usage)`` | what the usage costs; all that was held if the server did not say |
    | ``refused()``: an error status, or no connection | nothing |
    | ``faulted()``: reset, timeout, a stream that broke off | what may have been made: the server bills it |
    | ``abandoned(sent=…)``: we gave up | what may have been made if it was sent |

    What may have been made is all that was held, unless ``produced`` says how much of a stream had come.
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
    produced: int | None = None
    """Characters of a stream that had come when it ended early."""
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
        if usage is None or usage.corrected is not None:
            # What was held is the most that it can have cost.
            self._end(self.amount)
        else:
            self._end(nano(self._meter.rate_of(model, self.model, self.at).cost(usage)))

    def refused(self) -> None:
        """The server answered with an error status."""
        self._end(0)

    def faulted(self) -> None:
        """The attempt failed after the server may have begun."""
        self._end(self._perhaps_made())

    def abandoned(self, *, sent: bool) -> None:
        """We gave the attempt up ourselves."""
        self._end(self._perhaps_made() if sent else 0)

    def _perhaps_made(self) -> int:
        if self.produced is None:
            return self.amount
        # A token may be less than a character, in scripts whose characters are several bytes long.
        tokens = min(self.most.completion_tokens, 2 * self.produced + _UNSEEN)
        usage = CompletionUsage(prompt_tokens=self.most.prompt_tokens, completion_tokens=tokens)
        return min(self.amount, nano(self._meter.rate_of(None, self.model, self.at).cost(usage)))

    def _end(self, used: int) -> None:
        if self._open:
            self._open = False
            self.used = used
            self._owner.settled(self, used)
