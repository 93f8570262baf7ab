"""Is more turned away than before, and more than chance explains? Counted since the trouble began. Pure."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

_BEYOND: Final = 0.10
"""Share of attempts beyond the given one that may be turned away for long ..."""
_SURPRISE: Final = 2.5
"""... and how many more than that, in a row, are no chance."""
_LATER: Final = 4.0
"""How many are needed of those to which the window, or the pace, reacts by itself."""
_SPREAD: Final = 25.0
"""A given share varies, so more are needed then; with this factor it is a false alarm once in a thousand attempts."""

MOST_GIVEN: Final = 0.9
"""A larger share is never given: ten attempts for an answer are no way to go on, and beyond that nothing surprises."""
_MEMORY: Final = 50.0
"""Attempts over which the share that fails is averaged."""
_KNOWN: Final = 400
"""Attempts over which the given share is averaged, which a few dozen told at first ..."""
_ROUGHLY: Final = 0.15
"""... so roughly. If it becomes larger still, it is not given."""
_DECIDED: Final = 3.0
"""An attempt is taken when nothing was heard of it for so many times as long as refusals take, ..."""
_DECIDED_WITHIN: Final = (0.02, 1.0)
"""... between so many seconds."""


class ChangeDetector:
    """A sum that grows with what is turned away and shrinks with what is taken, never below 0 (Page's CUSUM)."""

    __slots__ = (
        "_early",
        "_first",
        "_from",
        "_given",
        "_latency",
        "_learned",
        "_sent",
        "_sum",
        "_taken",
        "_turned_away",
        "began",
        "failing",
        "fewest",
        "floor",
        "refused",
    )

    def __init__(self, now: float) -> None:
        self.floor = 0.0
        """The share that is turned away whatever the load."""
        self.failing = 0.0
        """The share that was turned away lately."""
        self.began = now
        """When the trouble began."""
        self.refused = 0
        """Turned away since then."""
        self.fewest = 0
        """In flight when one was turned away since then, at least."""
        self._taken = 0
        self._first = 0
        self._sent = 0
        self._sum = 0.0
        self._latency = 0.0
        self._from = self._learned = 0
        self._early: list[tuple[int, int, bool]] = []
        """Numbers of refusals that are not decided, a heap."""
        self._turned_away = self._given = 0.0

    @property
    def any(self) -> bool:
        """Whether anything unexplained has happened lately."""
        return self._sum > 0

    @property
    def patience(self) -> float:
        """Seconds after which an attempt is taken if nothing was heard of it."""
        return min(max(_DECIDED * self._latency, _DECIDED_WITHIN[0]), _DECIDED_WITHIN[1])

    def taken(self, decided: int) -> int:
        """Attempts up to number ``decided`` that were taken since the trouble began."""
        return max(0, decided - self._first - self.refused)

    def give(self, floor: float, outcomes: int, last: int) -> None:
        """So large a share is given, as so many outcomes tell; those after number ``last`` tell more."""
        floor = min(floor, MOST_GIVEN)
        self.floor, self._turned_away = floor, outcomes * floor
        self._early.clear()
        self._from, self._learned, self._given = last - outcomes, last, floor

    def learn(self, number: int, decided: int) -> None:
        """Attempt ``number`` was turned away as the given share is; those up to ``decided`` are known."""
        if not self.floor or number <= self._learned:
            return
        self._turned_away += 1
        decided = max(decided, number - 1)
        outcomes = max(self._turned_away, decided - self._from)
        self.floor = min(self._turned_away / outcomes, self._given + _ROUGHLY, MOST_GIVEN)
        if outcomes > _KNOWN:
            self._turned_away /= 2
            self._from = int(decided - outcomes / 2)

    def met(self, last: int, latency: float, beside: int) -> None:
        """One was turned away ``latency`` seconds after it was sent; ``last`` is the number of the last one sent."""
        self._latency = max(latency, 0.9 * self._latency)
        self.fewest = min(self.fewest, beside)
        self.failing = self.failing * (1 - 1 / _MEMORY) ** max(0, last - self._sent) + 1 / _MEMORY
        self._sent = last

    def count(self, number: int, decided: int, now: float, *, beside: int, counts: bool) -> None:
        """That was attempt ``number``; those up to ``decided`` were sent long enough ago to be known.

        Refusals come in the order of the attempts, nearly: so those before it are taken, as far as is known. Where a
        share is given, so many rows come back at once that this would take most of them for taken: there each refusal
        waits until it is decided.
        """
        if not self.floor:
            self._step(number, max(decided, number - 1), now, beside, counts=counts)
            return
        heappush(self._early, (number, beside, counts))
        while self._early and self._early[0][0] <= decided:
            number, beside, counts = heappop(self._early)
            self._step(number, number - 1, now, beside, counts=counts)

    def _step(self, number: int, known: int, now: float, beside: int, *, counts: bool) -> None:
        taken = self.taken(known)
        self._sum = max(0.0, self._sum - self._beyond * (taken - self._taken))
        self._taken = taken
        if not self._sum:
            self.begin(now, known)
            self.fewest = beside
        if self.more(number) and counts:
            self._sum += 1 - self._beyond

    def more(self, number: int) -> bool:
        """Count one that was turned away, unless it was sent before the trouble began."""
        if number <= self._first:
            return False
        self.refused += 1
        return True

    def begin(self, now: float, first: int) -> None:
        """Count from here on, from the attempts after number ``first``."""
        self.began, self._first, self.refused, self._taken, self._sum = now, first, 0, 0, 0.0

    def is_alarm(self, *, known: bool) -> bool:
        """Whether that is no chance; ``known`` says that something reacts to each of them already."""
        return self._sum >= self._alarm(known=known)

    def settled(self, last: int) -> tuple[int, bool]:
        """How many were taken, and whether it is no chance, now that all up to number ``last`` are known."""
        self._sum = 0.0
        self.refused += sum(number > self._first for number, _, _ in self._early)
        self._early.clear()
        taken = self.taken(last)
        return taken, self.refused * (1 - self._beyond) - taken * self._beyond >= self._alarm(known=False)

    def since(self, number: int, now: float) -> tuple[int, float]:
        """Attempts before this one since the trouble began, and seconds."""
        return number - 1 - self._first, now - self.began

    def _alarm(self, *, known: bool) -> float:
        return (_LATER if known else _SURPRISE) + _SPREAD * self.floor * (1 - self.floor)

    @property
    def _beyond(self) -> float:
        return self.floor + min(_BEYOND, (1 - self.floor) / 4)
