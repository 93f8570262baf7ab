"""How often something happened in the last minute, in constant memory. Pure: time is an argument."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60.0
_SLOTS: Final = 12
_PER_SECOND: Final = _SLOTS / MINUTE


class LastMinute:
    """A count over the last 60 s, in steps of 5 s."""

    __slots__ = ("_counts", "_slot", "_step", "_steps")

    def __init__(self) -> None:
        self._counts = [0] * _SLOTS
        self._steps = [-1] * _SLOTS
        self._step = -1
        """The one that was counted last, in ``_slot``: three counters are asked for every call."""
        self._slot = 0

    def add(self, at: float) -> None:
        """Once more, at time ``at``."""
        step = int(at * _PER_SECOND)
        if step == self._step:
            self._counts[self._slot] += 1
        else:
            self._add(step)

    def _add(self, step: int) -> None:
        slot = step % _SLOTS
        known = self._steps[slot]
        if known == step:
            self._counts[slot] += 1
        elif known < step:  # an attempt that began more than a minute ago counts no more
            self._steps[slot] = step
            self._counts[slot] = 1
        else:
            return
        self._step, self._slot = step, slot

    def total(self, now: float) -> int:
        """How often in the minute before ``now``."""
        oldest = int(now * _PER_SECOND) - _SLOTS
        return sum(count for count, step in zip(self._counts, self._steps, strict=True) if step > oldest)

    def clear(self) -> None:
        """Forget all of it."""
        self._steps = [-1] * _SLOTS
        self._step = -1
