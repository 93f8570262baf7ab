"""The trials that look for one cause, which comes next, and which manner is kept. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from deepseek_async.admission.concurrency.change_detection import MOST_GIVEN
from deepseek_async.admission.concurrency.trial import LoadLevel, Trial, best

_FALLEN: Final = 0.75
"""A share that is below this part of what it was has fallen."""
_MANY: Final = 0.3
"""A share from which it is worth a second trial, slower still."""
_PROBING: Final = 0.11
"""A pace is kept so that about this share is turned away: no floor, but how the limit is known (``pace.py``)."""
_NEARLY_ALL: Final = 0.85
"""A share above it is not given before all has been tried."""
_IN_VAIN: Final = 2
"""Trials of which hardly any attempt was taken, after which it is seen whether speed matters at all."""
_MOST: Final = 6
"""Trials of one series."""


class NextStep(Enum):
    """What is done after a trial."""

    SLOWER = "slower"
    FEWER = "fewer"
    FREE = "free"
    CHOOSE = "choose"


class Experiment:
    """Trials one after another."""

    __slots__ = ("_trials",)

    def __init__(self) -> None:
        self._trials: list[Trial] = []

    def begin(self, *known: Trial) -> None:
        """Forget what was tried, but for these."""
        self._trials[:] = known

    def last(self, manner: LoadLevel) -> Trial | None:
        """The last trial of that manner."""
        return next((trial for trial in reversed(self._trials) if trial.manner is manner), None)

    @property
    def best(self) -> Trial:
        """The trial whose manner is kept: a pace, if nearly all is turned away without one and nothing else helps."""
        chosen, free, slower = best(self._lasts), self.last(LoadLevel.FREE), self.last(LoadLevel.SLOWER)
        vain = free is not None and free.share > MOST_GIVEN and not chosen.good
        return slower if vain and slower is not None else chosen

    @property
    def floor(self) -> float:
        """The share that is turned away in the best manner, whatever the load."""
        chosen = self.best
        if chosen.good:
            return 0.0
        if chosen.manner is LoadLevel.SLOWER:
            return max(0.0, chosen.share - _PROBING)
        trials = self._lasts
        return sum(trial.turned_away for trial in trials) / sum(trial.outcomes for trial in trials)

    @property
    def outcomes(self) -> int:
        """Attempts that tell the floor."""
        return sum(trial.outcomes for trial in self._lasts)

    def after(self, trial: Trial, width: int, fewest: int) -> tuple[NextStep, Trial]:
        """What is done after this trial, and what it starts from, with ``width`` attempts at once if they were fewer.

        ``fewest`` were in flight when one was turned away before it, at least.
        """
        self._trials.append(trial)
        if trial.manner is LoadLevel.SLOWER:
            return self._after_slower(trial, fewest)
        if trial.manner is LoadLevel.FEWER:
            if trial.good or len(self._trials) >= _MOST:
                return self._choose(trial)
            if trial.fewest < width:
                return self._fewer(trial)
            return self._choose(trial)
        slower = self.last(LoadLevel.SLOWER)
        if slower is None:
            return NextStep.SLOWER, trial
        if self.last(LoadLevel.FEWER) is not None:
            return NextStep.CHOOSE, trial
        if best((trial, slower)) is trial:
            return self._choose(slower) if min(trial.share, slower.share) <= _NEARLY_ALL else self._slower(slower)
        return self._after_slower(slower, fewest)

    def _after_slower(self, trial: Trial, fewest: int) -> tuple[NextStep, Trial]:
        tried_fewer = self.last(LoadLevel.FEWER) is not None
        if trial.good and trial.paced:
            if fewest > trial.most and not tried_fewer:
                # Slower also means fewer at once, and none was turned away that had so few beside it.
                trial.fewest = fewest
                return self._fewer(trial)
            return NextStep.CHOOSE, trial
        many = len(self._trials) >= _MOST
        free = self.last(LoadLevel.FREE)
        if not many and (not trial.paced or trial.taken < 2):
            if trial.paced and free is None and len(self._trials) >= _IN_VAIN:
                return NextStep.FREE, trial
            if not (trial.paced and free is not None and free.share <= _NEARLY_ALL and best((trial, free)) is free):
                return NextStep.SLOWER, trial
        if free is None:
            return self._fewer(trial) if trial.crowded and not tried_fewer else (NextStep.FREE, trial)
        if best((trial, free)) is free:
            return self._choose(trial) if min(trial.share, free.share) <= _NEARLY_ALL else self._slower(trial)
        earlier = [each.share for each in self._trials if each.manner is LoadLevel.SLOWER and each.paced][:-1]
        falls = not earlier or trial.share < _FALLEN * earlier[-1]
        return (NextStep.SLOWER, trial) if not many and trial.share > _MANY and falls else self._fewer(trial)

    def _slower(self, trial: Trial) -> tuple[NextStep, Trial]:
        return (NextStep.SLOWER if len(self._trials) < _MOST else NextStep.CHOOSE), trial

    def _fewer(self, trial: Trial) -> tuple[NextStep, Trial]:
        return (NextStep.FEWER, trial) if trial.fewest >= 1 else self._choose(trial)

    def _choose(self, trial: Trial) -> tuple[NextStep, Trial]:
        """Nothing that turns away many is kept without a look at how it goes without it."""
        known = self.best.good or self.last(LoadLevel.FREE) is not None
        return NextStep.CHOOSE if known else NextStep.FREE, trial

    @property
    def _lasts(self) -> list[Trial]:
        return [trial for trial in map(self.last, LoadLevel) if trial is not None]
