"""What the account has counted, and what it says of a span of time. Seconds of the machine's clock."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

_STEP = 0.1


class Entry(NamedTuple):
    """Something has happened at the account."""

    at: float
    kind: str
    """``admitted``, ``refused``, ``served``, ``lost`` with its connection, or the ``limit`` has moved."""
    member: str
    in_flight: int
    limit: int


@dataclass
class Call:
    """All attempts for one answer."""

    first: float
    attempts: int = 0
    answered: float = math.inf


def member_of(prompt: str) -> str:
    """Who asks: prompts are ``MEMBER/NUMBER``."""
    return prompt.partition("/")[0]


class Ledger:
    """Written by the account as it goes; read when the run is over."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: dict[str, Call] = {}
        self.late: list[float] = []
        """Seconds by which the account itself ended each answer after its time, because others had the core."""

    def asked(self, at: float, prompt: str) -> None:
        """An attempt has arrived."""
        call = self.calls.setdefault(prompt, Call(at))
        call.attempts += 1

    def answered(self, at: float, prompt: str) -> None:
        """An answer is complete."""
        self.calls[prompt].answered = at

    def note(self, at: float, kind: str, prompt: str, in_flight: int, limit: int) -> None:
        """What runs, or may run, has changed, or somebody was refused."""
        self.entries.append(Entry(at, kind, member_of(prompt), in_flight, limit))

    def busy(self, start: float, end: float) -> float:
        """Slot-seconds that ran, of those that the limit allowed."""
        ran = allowed = 0.0
        for length, entry in self._spans(start, end):
            ran += min(entry.in_flight, entry.limit) * length
            allowed += entry.limit * length
        return ran / allowed if allowed else 0.0

    def attempts(self, start: float, end: float) -> int:
        """Attempts that arrived."""
        return sum(entry.kind in ("admitted", "refused") for entry in self._between(start, end))

    def refusals(self, start: float, end: float) -> int:
        """429s."""
        return sum(entry.kind == "refused" for entry in self._between(start, end))

    def refused(self, start: float, end: float) -> float:
        """429s, as a share of the attempts."""
        return self.refusals(start, end) / max(1, self.attempts(start, end))

    def worst_second(self, start: float, end: float) -> int:
        """429s in the second with most of them."""
        refused = Counter(int(entry.at - start) for entry in self._between(start, end) if entry.kind == "refused")
        return max(refused.values(), default=0)

    def served(self, start: float, end: float) -> Counter[str]:
        """Answers, by member."""
        return Counter(entry.member for entry in self._between(start, end) if entry.kind == "served")

    def took(self, start: float, end: float) -> dict[str, list[float]]:
        """Seconds from the first attempt to the answer, by member, for the answers of that span."""
        found: dict[str, list[float]] = {}
        for prompt, call in self.calls.items():
            if start <= call.answered < end:
                found.setdefault(member_of(prompt), []).append(call.answered - call.first)
        return found

    def most_attempts(self) -> int:
        """Attempts for the answer that took most of them."""
        return max((call.attempts for call in self.calls.values()), default=0)

    def full_after(self, start: float, share: float) -> float:
        """Seconds from ``start`` until so much of the limit runs; infinite if it never does."""
        before = [entry for entry in self.entries if entry.at <= start][-1:]
        after = (entry for entry in self.entries if entry.at > start)
        return next(
            (max(0.0, entry.at - start) for entry in (*before, *after) if entry.in_flight >= share * entry.limit),
            math.inf,
        )

    def lost_slots(self, start: float, end: float, patience: float) -> int:
        """The most slots that were empty for ``patience`` seconds on end."""
        steps = math.ceil((end - start) / _STEP)
        fewest = [10**9] * steps
        for entry, (begin, until) in self._with_times(start, end):
            free = max(0, entry.limit - entry.in_flight)
            for step in range(int((begin - start) / _STEP), min(steps, int((until - start) / _STEP) + 1)):
                fewest[step] = min(fewest[step], free)
        width = round(patience / _STEP)
        return max((min(fewest[step : step + width]) for step in range(steps - width + 1)), default=0)

    def _between(self, start: float, end: float) -> Iterator[Entry]:
        return (entry for entry in self.entries if start <= entry.at < end)

    def _spans(self, start: float, end: float) -> Iterator[tuple[float, Entry]]:
        return ((until - begin, entry) for entry, (begin, until) in self._with_times(start, end))

    def _with_times(self, start: float, end: float) -> Iterator[tuple[Entry, tuple[float, float]]]:
        """Each state of the account, with the part of the span for which it lasted."""
        times = [*(entry.at for entry in self.entries), math.inf]
        for entry, (begin, until) in zip(self.entries, pairwise(times), strict=True):
            if until > start and begin < end and until > begin:
                yield entry, (max(begin, start), min(until, end))


def percentile(values: list[float], percent: int) -> float:
    """Of a few values too; infinite of none, because somebody who got no answer has waited for ever."""
    if len(values) < 2:
        return values[0] if values else math.inf
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
