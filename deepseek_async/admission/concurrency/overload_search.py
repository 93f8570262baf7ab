"""Experiment: a series of trials that isolates one cause, and the choice of load level to keep. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from deepseek_async.admission.concurrency.change_detection import MOST_GIVEN
from deepseek_async.admission.concurrency.load_trial import LoadLevel, LoadTrial, best

_FALLEN: Final = 0.75
"""A rejection rate below this fraction of the previous one counts as a drop."""
_MANY: Final = 0.3
"""Rejection rate from which a second, slower trial is worthwhile."""
_PROBING: Final = 0.11
"""Rejection rate that a kept pace targets to track the limit; not part of the baseline (``pacing.py``)."""
_NEARLY_ALL: Final = 0.85
"""Rejection rate above which nothing becomes a baseline before every load level was tried."""
_IN_VAIN: Final = 2
"""Trials with hardly any admission after which it is tested whether the pace matters at all."""
_MOST: Final = 6
"""Maximum number of trials in a series."""


class NextStep(Enum):
    """Next step after a trial."""

    SLOWER = "slower"
    FEWER = "fewer"
    FREE = "free"
    CHOOSE = "choose"


class OverloadSearch:
    """A series of trials."""

    __slots__ = ("_trials",)

    def __init__(self) -> None:
        self._trials: list[LoadTrial] = []

    def begin(self, *known: LoadTrial) -> None:
        """Discard all trials except ``known``."""
        self._trials[:] = known

    def last(self, manner: LoadLevel) -> LoadTrial | None:
        """Return the last trial at this load level."""
        return next((trial for trial in reversed(self._trials) if trial.manner is manner), None)

    @property
    def best(self) -> LoadTrial:
        """Trial with the load level to keep; a pace if nearly all is rejected without one and nothing else helps."""
        chosen, free, slower = best(self._lasts), self.last(LoadLevel.FREE), self.last(LoadLevel.SLOWER)
        vain = free is not None and free.share > MOST_GIVEN and not chosen.good
        return slower if vain and slower is not None else chosen

    @property
    def floor(self) -> float:
        """Rejection rate at the best load level that remains at any load."""
        chosen = self.best
        if chosen.good:
            return 0.0
        if chosen.manner is LoadLevel.SLOWER:
            return max(0.0, chosen.share - _PROBING)
        trials = self._lasts
        return sum(trial.turned_away for trial in trials) / sum(trial.outcomes for trial in trials)

    @property
    def outcomes(self) -> int:
        """Attempts from which the baseline is estimated."""
        return sum(trial.outcomes for trial in self._lasts)

    def after(self, trial: LoadTrial, width: int, fewest: int) -> tuple[NextStep, LoadTrial]:
        """Return the next step and the trial it is based on; ``width`` is the concurrency of a FEWER trial.

        ``fewest`` is the minimum number in flight at a rejection before this trial.
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

    def _after_slower(self, trial: LoadTrial, fewest: int) -> tuple[NextStep, LoadTrial]:
        tried_fewer = self.last(LoadLevel.FEWER) is not None
        if trial.good and trial.paced:
            if fewest > trial.most and not tried_fewer:
                # A slower pace also lowers concurrency, and no rejection had so few in flight.
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

    def _slower(self, trial: LoadTrial) -> tuple[NextStep, LoadTrial]:
        return (NextStep.SLOWER if len(self._trials) < _MOST else NextStep.CHOOSE), trial

    def _fewer(self, trial: LoadTrial) -> tuple[NextStep, LoadTrial]:
        return (NextStep.FEWER, trial) if trial.fewest >= 1 else self._choose(trial)

    def _choose(self, trial: LoadTrial) -> tuple[NextStep, LoadTrial]:
        """Choose; runs a FREE trial first if a costly load level would be kept without that comparison."""
        known = self.best.good or self.last(LoadLevel.FREE) is not None
        return NextStep.CHOOSE if known else NextStep.FREE, trial

    @property
    def _lasts(self) -> list[LoadTrial]:
        return [trial for trial in map(self.last, LoadLevel) if trial is not None]
