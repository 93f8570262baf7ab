"""Where the day's money is counted for many processes, and what every such place offers. Amounts are nano-dollars."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from deepseek_async.errors import ConfigurationError


class Spending(msgspec.Struct):
    """Calls and nano-dollars of one model and tag."""

    calls: int = 0
    spent: int = 0

    def add(self, more: Spending) -> None:
        """Count ``more`` too."""
        self.calls += more.calls
        self.spent += more.spent


class Standing(msgspec.Struct, frozen=True):
    """Where a day stands for some processes together, in nano-dollars."""

    held: int = 0
    """Spent, or allotted to a process that may spend it: what counts against the cap.

    What was allotted to a process that was killed stays held: it may have been spent.
    """
    spent: int = 0
    """Spent, as far as the processes have told."""


class Store(Protocol):
    """A file or a Redis, for one holder. Every method is one transaction, blocks, and is one thread's at a time.

    All but ``close`` raise what ``Keeper`` makes errors of. A child of a fork is a holder of its own: it spends nothing
    of what was allotted to its parent.
    """

    hears_of_holders: bool
    """Whether who has held money has to report every second of its day, so that it is known again where it was lost."""

    def standing(self, day: str) -> Standing:
        """Where ``day`` stands, over all processes."""
        ...

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, Standing]:
        """Take at least ``least`` more out of ``cap`` for this process, which has ``allotted``, or nothing.

        Returns what was added, and where the others stand.
        """
        ...

    def report(
        self,
        day: str,
        *,
        allotted: int,
        spent: int,
        spending: Mapping[tuple[str, str], Spending],
    ) -> Standing:
        """Write down what this process has spent and may still spend. Returns where the others stand.

        ``spending`` counts once: what could not be written is kept here, and written by the next report.
        """
        ...

    def first_to_alert(self, day: str, shares: Iterable[float]) -> list[float]:
        """Those of ``shares`` for which no process has raised its alert on ``day``; they count as raised now."""
        ...

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """What ``day`` was spent on, by model and tag."""
        ...

    def close(self) -> None:
        """Give up what is open. The store may be used again."""


class UnansweredError(ConfigurationError):
    """The place gives no money now, and may in ``retry_in`` seconds."""

    retry_in: float = 1.0


def add_up(spending: dict[tuple[str, str], Spending], more: Mapping[tuple[str, str], Spending]) -> None:
    """Count ``more`` into ``spending``."""
    for key, item in more.items():
        spending.setdefault(key, Spending()).add(item)


def new_holder() -> str:
    """A name that no other process has, on whichever machine."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
