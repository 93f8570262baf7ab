"""Store interface: the day's money, shared by many processes. Amounts are nano-dollars."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from deepseek_async.errors import ConfigurationError


class Spending(msgspec.Struct):
    """Calls and nano-dollars for one model and tag."""

    calls: int = 0
    spent: int = 0

    def add(self, more: Spending) -> None:
        """Add ``more``."""
        self.calls += more.calls
        self.spent += more.spent


class DayTotals(msgspec.Struct, frozen=True):
    """Totals of a day over some processes, in nano-dollars."""

    held: int = 0
    """Spent, or allotted to a process that may spend it: counts against the cap.

    An allotment to a killed process stays held, because it may have been spent.
    """
    spent: int = 0
    """Spent, as far as processes have reported."""


class Store(Protocol):
    """A file or a Redis, for one holder. Methods are single blocking transactions, for one thread at a time.

    All but ``close`` raise errors that ``BudgetWorker`` translates. A forked child is a holder of its own: it spends
    nothing that was allotted to its parent.
    """

    hears_of_holders: bool
    """Whether holders must report every second of their day, so that lost data can be restored."""

    def standing(self, day: str) -> DayTotals:
        """Return the totals of ``day`` over all processes."""
        ...

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, DayTotals]:
        """Allot at least ``least`` more out of ``cap`` to this process, which has ``allotted``, or nothing.

        Returns the added amount and the totals of the other processes.
        """
        ...

    def report(
        self,
        day: str,
        *,
        allotted: int,
        spent: int,
        spending: Mapping[tuple[str, str], Spending],
    ) -> DayTotals:
        """Store what this process has spent and may still spend. Returns the totals of the other processes.

        ``spending`` is counted once: what cannot be stored is kept here and stored by the next report.
        """
        ...

    def first_to_alert(self, day: str, shares: Iterable[float]) -> list[float]:
        """Return those of ``shares`` whose alert no process has raised on ``day``, and mark them as raised."""
        ...

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """Return the spending of ``day`` by model and tag."""
        ...

    def close(self) -> None:
        """Release all resources. The store can be used again."""


class UnansweredError(ConfigurationError):
    """The store allots nothing at present; retry in ``retry_in`` seconds."""

    retry_in: float = 1.0


def add_up(spending: dict[tuple[str, str], Spending], more: Mapping[tuple[str, str], Spending]) -> None:
    """Add ``more`` to ``spending``."""
    for key, item in more.items():
        spending.setdefault(key, Spending()).add(item)


def new_holder() -> str:
    """Return a name that is unique over all processes and machines."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
