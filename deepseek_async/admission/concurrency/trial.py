"""What some attempts tell that are sent more slowly, or fewer at once, or as before; and which is best. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

_ENOUGH: Final = 24
"""Outcomes of a trial ..."""
_CLEAN: Final = 16
"""... fewer if none is turned away ..."""
_FEW: Final = 10
_LONGEST: Final = 2.0
"""... or so many after so many seconds ..."""
_HOPELESS: Final = 10
"""... or none is taken."""
_NEARLY_ALL: Final = 0.75
"""A share of refusals from which a trial waits to be counted: a window refills with refusals many times meanwhile."""
_FAR: Final = math.log(50)
_MOST: Final = 0.9
_PLACES: Final = 12
"""Outcomes before which fewer at once cannot be found to help."""
_TELLING: Final = 0.75
"""A share above which one of nearly all cannot be told from it."""
_PROOF: Final = 3
_NEARLY: Final = 0.9
_GOOD: Final = 0.08
"""A share below it needs no further trial."""
_WASTE: Final = 0.10
"""How much more than in the best trial may be turned away, or, because few attempts tell little, ..."""
_CHANCE: Final = 2.0
"""... so many standard deviations."""
_COSTLY: Final = 0.05
"""Seconds between attempts from which a trial is not to be longer than needed ..."""
_BAD: Final = 0.5
"""... to tell whether so many are turned away, or hardly any."""


class LoadLevel(Enum):
    """How attempts are sent."""

    SLOWER = "slower"
    FEWER = "fewer"
    FREE = "free"


class Trial(msgspec.Struct, gc=False):
    """Attempts sent in one manner."""

    manner: LoadLevel
    first: int
    """Attempts up to this number were sent before it."""
    began: float
    gap: float = 0.0
    before: float = 0.0
    """The share that was turned away before, if it is known."""
    ended: float = 0.0
    taken: int = 0
    turned_away: int = 0
    fewest: int = 1 << 30
    """In flight when one was turned away, at least."""
    most: int = 0
    """In flight when one was sent that was taken, at most."""
    loose: int = 0
    """Attempts that did not wait for the pace."""
    told: int = 0
    """Refusals that have come so far, of attempts that are counted later."""

    def count(self, beside: int | None, level: int, sent_at: float) -> bool:
        """One more was taken, or turned away with ``beside`` in flight. True if the trial is over."""
        if beside is None:
            self.taken += 1
            self.most = max(self.most, level)
        else:
            self.turned_away += 1
            self.fewest = min(self.fewest, beside)
        self.ended = sent_at
        outcomes, turned_away = self.outcomes, self.turned_away
        if not turned_away:
            return outcomes >= _CLEAN or self._is_clear()
        if (outcomes >= _HOPELESS and not self.taken) or self._is_clear() or self._is_hopeless():
            return True
        return outcomes >= _ENOUGH or (outcomes >= _FEW and sent_at - self.began >= _LONGEST)

    def _is_hopeless(self) -> bool:
        """Whether nearly all are turned away, and not as many as in the trial before."""
        if self.manner is not LoadLevel.FREE or not 0 < self.before <= _TELLING or self.outcomes < _HOPELESS:
            return False
        same, nearly_all = max(self.before, _GOOD), 1 - _GOOD
        evidence = self.turned_away * math.log(nearly_all / same) + self.taken * math.log(_GOOD / (1 - same))
        return evidence >= _FAR

    def told_enough(self, number: int, last: int) -> bool:
        """That one was turned away; whether the trial, without a pace, waits now: so is nearly all up to ``last``."""
        if self.manner is LoadLevel.SLOWER or number <= self.first:
            return False
        self.told += 1
        return self.told >= _HOPELESS and self.told >= _NEARLY_ALL * (last - self.first)

    def _is_clear(self) -> bool:
        """Whether one of two guesses is far likelier: as many as before, or hardly any (Wald's sequential test)."""
        if self.manner is LoadLevel.FREE:
            return False
        same = min(self.before, _MOST) or (_BAD if self.gap >= _COSTLY else 0.0)
        if not same:
            return False
        less = min(_GOOD, same / 3)
        evidence = self.turned_away * math.log(same / less) + self.taken * math.log((1 - same) / (1 - less))
        if self.manner is LoadLevel.FEWER and self.outcomes < _PLACES:
            # The first few only fill the places, as they would whatever the limit is.
            return evidence >= _FAR
        return abs(evidence) >= _FAR

    @property
    def good(self) -> bool:
        """Whether hardly any were turned away."""
        return self.share <= _GOOD

    @property
    def outcomes(self) -> int:
        """Attempts of which it is known."""
        return self.taken + self.turned_away

    @property
    def share(self) -> float:
        """Part of them that was turned away."""
        return self.turned_away / max(1, self.outcomes)

    @property
    def rate(self) -> float:
        """Taken in a second."""
        return self.taken / max(1e-3, self.ended - self.began)

    @property
    def crowded(self) -> bool:
        """Whether they were turned away when more were in flight than when others were taken, as far as is known."""
        return self.turned_away >= _PROOF and self.fewest >= max(1.0, _NEARLY * self.most)

    @property
    def paced(self) -> bool:
        """Whether the pace was what held attempts back."""
        return self.loose * 2 <= self.outcomes


def best(trials: Sequence[Trial]) -> Trial:
    """As before, if hardly more are turned away then; else the one of the others that got most done."""
    least = min(trials, key=lambda trial: trial.share)
    near = [trial for trial in trials if trial.share - least.share <= _allowed(trial, least)]
    return max(near, key=lambda trial: (trial.manner is LoadLevel.FREE, trial.rate))


def _allowed(trial: Trial, least: Trial) -> float:
    share = (trial.turned_away + least.turned_away) / (trial.outcomes + least.outcomes)
    variance = share * (1 - share) * (1 / trial.outcomes + 1 / least.outcomes)
    return max(_WASTE, _CHANCE * math.sqrt(variance))
