"""Change detection: has the rejection rate risen by more than chance? Counts from the start of an episode. Pure."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

_BEYOND: Final = 0.10
"""Tolerated rejection rate above the baseline."""
_SURPRISE: Final = 2.5
"""Threshold in excess rejections in a row that chance does not explain."""
_LATER: Final = 4.0
"""Threshold for rejections to which the limit, or the pace, reacts by itself."""
_SPREAD: Final = 25.0
"""Scales the threshold with the variance of the baseline: one false alarm in a thousand attempts."""

MOST_GIVEN: Final = 0.9
"""Highest accepted baseline: ten attempts per answer are not viable, and above it no change would be detectable."""
_MEMORY: Final = 50.0
"""Attempts over which the failure rate is averaged."""
_KNOWN: Final = 400
"""Attempts over which the baseline is averaged; its first estimate rests on a few dozen."""
_ROUGHLY: Final = 0.15
"""Error of that estimate; the baseline never rises further than this above it."""
_DECIDED: Final = 3.0
"""An attempt counts as accepted after this many refusal latencies without a refusal."""
_DECIDED_WITHIN: Final = (0.02, 1.0)
"""Bounds of that time in seconds."""


class ChangeDetector:
    """CUSUM statistic (Page): grows with rejections, shrinks with admissions, never below 0."""

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
        """Baseline: rejection rate that does not depend on the load."""
        self.failing = 0.0
        """Recent rejection rate."""
        self.began = now
        """Start of the episode."""
        self.refused = 0
        """Rejections since the start of the episode."""
        self.fewest = 0
        """Minimum number in flight at a rejection since the start of the episode."""
        self._taken = 0
        self._first = 0
        self._sent = 0
        self._sum = 0.0
        self._latency = 0.0
        self._from = self._learned = 0
        self._early: list[tuple[int, int, bool]] = []
        """Heap of the sequence numbers of rejections that are not final yet."""
        self._turned_away = self._given = 0.0

    @property
    def any(self) -> bool:
        """Whether unexplained rejections occurred recently."""
        return self._sum > 0

    @property
    def patience(self) -> float:
        """Seconds without a refusal after which an attempt counts as accepted."""
        return min(max(_DECIDED * self._latency, _DECIDED_WITHIN[0]), _DECIDED_WITHIN[1])

    def taken(self, decided: int) -> int:
        """Return how many attempts up to number ``decided`` were accepted since the start of the episode."""
        return max(0, decided - self._first - self.refused)

    def give(self, floor: float, outcomes: int, last: int) -> None:
        """Set the baseline, estimated from ``outcomes`` attempts; attempts after number ``last`` refine it."""
        floor = min(floor, MOST_GIVEN)
        self.floor, self._turned_away = floor, outcomes * floor
        self._early.clear()
        self._from, self._learned, self._given = last - outcomes, last, floor

    def learn(self, number: int, decided: int) -> None:
        """Refine the baseline with the rejection of attempt ``number``; attempts up to ``decided`` are final."""
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
        """Record a rejection ``latency`` seconds after sending; ``last`` is the number of the last attempt sent."""
        self._latency = max(latency, 0.9 * self._latency)
        self.fewest = min(self.fewest, beside)
        self.failing = self.failing * (1 - 1 / _MEMORY) ** max(0, last - self._sent) + 1 / _MEMORY
        self._sent = last

    def count(self, number: int, decided: int, now: float, *, beside: int, counts: bool) -> None:
        """Count the rejection of attempt ``number``; attempts up to ``decided`` were sent long enough ago to be final.

        Refusals arrive nearly in the order of the attempts, so earlier attempts count as accepted. With a baseline, so
        many rows are retried at once that this would misjudge most of them: then each rejection counts only once it is
        final.
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
        """Count a rejection, unless the attempt was sent before the episode."""
        if number <= self._first:
            return False
        self.refused += 1
        return True

    def begin(self, now: float, first: int) -> None:
        """Start a new episode with the attempts after number ``first``."""
        self.began, self._first, self.refused, self._taken, self._sum = now, first, 0, 0, 0.0

    def is_alarm(self, *, known: bool) -> bool:
        """Whether the excess is significant; ``known``: something else already reacts to each of these rejections."""
        return self._sum >= self._alarm(known=known)

    def settled(self, last: int) -> tuple[int, bool]:
        """Return the accepted attempts and whether the excess is significant, once all up to ``last`` are final."""
        self._sum = 0.0
        self.refused += sum(number > self._first for number, _, _ in self._early)
        self._early.clear()
        taken = self.taken(last)
        return taken, self.refused * (1 - self._beyond) - taken * self._beyond >= self._alarm(known=False)

    def since(self, number: int, now: float) -> tuple[int, float]:
        """Return the attempts and the seconds of the episode before this attempt."""
        return number - 1 - self._first, now - self.began

    def _alarm(self, *, known: bool) -> float:
        return (_LATER if known else _SURPRISE) + _SPREAD * self.floor * (1 - self.floor)

    @property
    def _beyond(self) -> float:
        return self.floor + min(_BEYOND, (1 - self.floor) / 4)
