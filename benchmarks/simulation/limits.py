"""Hidden limits: what an account may run at once, as it changes over the time of a run."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

LONG: Final = 1200.0
"""Seconds of a run."""


@dataclass(frozen=True)
class Trace:
    """A limit over time: ``changes`` are (second, limit), the first at second 0."""

    name: str
    changes: tuple[tuple[float, int], ...]
    until: float = LONG

    def at(self, second: float) -> int:
        """The limit at a time."""
        return next(limit for start, limit in reversed(self.changes) if start <= second)


def fixed(limit: int, until: float = LONG) -> Trace:
    """A limit that never moves."""
    return Trace(f"fixed {limit}", ((0.0, limit),), until)


def step(before: int, after: int) -> Trace:
    """A limit that changes once, in the middle."""
    return Trace(f"{before}→{after}", ((0.0, before), (LONG / 2, after)))


def outage(limit: int = 500, seconds: float = 120.0) -> Trace:
    """Everything is refused from the middle on, for a while."""
    return Trace("outage", ((0.0, limit), (LONG / 2, 0), (LONG / 2 + seconds, limit)))


def sine(seed: int, middle: int = 300, swing: float = 0.4, period: float = 400.0, noise: float = 0.05) -> Trace:
    """A sine with a step of noise every 5 s; the same seed gives the same trace."""
    chance = random.Random(seed)
    factor = 1.0
    changes: list[tuple[float, int]] = []
    for second in range(int(LONG)):
        if second % 5 == 0:
            factor = chance.uniform(1 - noise, 1 + noise)
        smooth = middle * (1 + swing * math.sin(2 * math.pi * second / period))
        changes.append((float(second), round(smooth * factor)))
    return Trace("sine+noise", tuple(changes))


def five(seed: int) -> list[Trace]:
    """The traces over which a mean is taken."""
    return [fixed(60), fixed(500), step(500, 100), step(100, 500), sine(seed)]
