"""Controllers that are compared: ours, and the textbook ones. Each has one cut for one burst of refusals."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from benchmarks.simulation.account import Window
from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt, FixedLimit

CAP: Final = 2500
_START: Final = 32.0
_DOUBLING: Final = 1.5
_FASTEST: Final = 200.0


class Rival(ABC):
    """Doubles until the first refusal; what comes then is the subclass's."""

    def __init__(self, now: float) -> None:
        self.in_flight = 0
        self.window = _START
        self._number = 0
        self._reacted = 0
        self._starting = True
        self._grown_at = now

    @property
    def size(self) -> int:
        return int(self.window)

    def may_send(self, now: float) -> bool:
        passed, self._grown_at = now - self._grown_at, now
        if self._starting:
            rate = min(self.window * math.log(2) / _DOUBLING, _FASTEST)
            self.window = min(CAP, self.window + rate * min(passed, 0.25))
        else:
            self.window = min(CAP, max(1.0, self.grown(now)))
        return self.in_flight < self.size

    def next_change(self, now: float) -> float | None:
        return now + 0.05

    def sent(self, now: float) -> Attempt:
        self.in_flight += 1
        self._number += 1
        return Attempt(now, self._number, self.in_flight)

    def admitted(self, attempt: Attempt, now: float) -> None:
        attempt.answered = True

    def refused(self, attempt: Attempt, now: float, **_: Any) -> None:
        self.in_flight -= 1
        if attempt.number > self._reacted:
            self._reacted = self._number
            self._starting = False
            self.cut(now)

    def ended(self, attempt: Attempt, now: float) -> None:
        self.in_flight -= 1
        self.completed()

    def grown(self, now: float) -> float:
        """The window as it is by the time ``now``."""
        return self.window

    @abstractmethod
    def cut(self, now: float) -> None:
        """React to a burst of refusals."""

    def completed(self) -> None:  # noqa: B027  only who grows with answers needs it
        """An attempt was answered."""


class Aimd(Rival):
    """One slot more for each window of answers, 30 % less for a burst of refusals."""

    def cut(self, now: float) -> None:
        self.window = max(1.0, self.window * 0.7)

    def completed(self) -> None:
        if not self._starting:
            self.window += 1 / self.window


class Cubic(Rival):
    """RFC 9438 in wall time: back to the last maximum, a plateau there, and beyond. C 0.4, β 0.7."""

    C: Final = 0.4
    BETA: Final = 0.7

    def cut(self, now: float) -> None:
        self._maximum = self.window
        self._cut_at = now
        self._back = math.cbrt(self._maximum * (1 - self.BETA) / self.C)

    def grown(self, now: float) -> float:
        return self.C * (now - self._cut_at - self._back) ** 3 + self._maximum


Factory = Callable[[float, Callable[[], float]], Window]

CONTESTANTS: Final[dict[str, Factory]] = {
    "semaphore 50": lambda now, chance: FixedLimit(50),
    "AIMD": lambda now, chance: Aimd(now),
    "CUBIC": lambda now, chance: Cubic(now),
    "ours": lambda now, chance: AdaptiveLimit(cap=CAP, chance=chance, now=now),
}
"""By name, because functions do not travel to other processes."""
