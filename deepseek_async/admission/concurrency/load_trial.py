"""Trial: outcomes of some attempts at one load level (slower, fewer or free), and the choice between trials. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

_ENOUGH: Final = 24
"""Outcomes of a full trial."""
_CLEAN: Final = 16
"""Outcomes of a trial without rejections."""
_FEW: Final = 10
_LONGEST: Final = 2.0
"""Seconds after which ``_FEW`` outcomes are enough."""
_HOPELESS: Final = 10
"""Outcomes of a trial without admissions."""
_NEARLY_ALL: Final = 0.75
"""Rejection rate from which a trial pauses sending until its outcomes are final: retries would refill it many times."""
_FAR: Final = math.log(50)
_MOST: Final = 0.9
_PLACES: Final = 12
"""Minimum outcomes for concluding that lower concurrency helps."""
_TELLING: Final = 0.75
"""Rejection rate that cannot be distinguished from rejecting nearly everything."""
_PROOF: Final = 3
_NEARLY: Final = 0.9
_GOOD: Final = 0.08
"""Rejection rate below which no further trial is needed."""
_WASTE: Final = 0.10
"""Tolerated excess of the rejection rate over the best trial."""
_CHANCE: Final = 2.0
"""Tolerated excess in standard deviations, for trials with few attempts; the larger of both applies."""
_COSTLY: Final = 0.05
"""Seconds between attempts from which a trial ends as early as the evidence allows."""
_BAD: Final = 0.5
"""Rejection rate that such a trial distinguishes from hardly any."""


class LoadLevel(Enum):
    """How attempts are sent."""

    SLOWER = "slower"
    FEWER = "fewer"
    FREE = "free"


class LoadTrial(msgspec.Struct, gc=False):
    """Outcomes at one load level."""

    manner: LoadLevel
    first: int
    """Attempts up to this number were sent before the trial."""
    began: float
    gap: float = 0.0
    before: float = 0.0
    """Previous rejection rate, if known."""
    ended: float = 0.0
    taken: int = 0
    turned_away: int = 0
    fewest: int = 1 << 30
    """Minimum number in flight at a rejection."""
    most: int = 0
    """Maximum number in flight when an accepted attempt was sent."""
    loose: int = 0
    """Attempts that did not wait for the pace."""
    told: int = 0
    """Rejections so far, including attempts whose outcome is not counted yet."""
    heard_of: int = 0
    """Latest attempt that was rejected."""

    def count(self, beside: int | None, level: int, sent_at: float) -> bool:
        """Count an admission, or a rejection with ``beside`` in flight. Returns True if the trial is complete."""
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
        """Whether nearly everything is rejected, significantly more than in the previous trial."""
        if self.manner is not LoadLevel.FREE or not 0 < self.before <= _TELLING or self.outcomes < _HOPELESS:
            return False
        same, nearly_all = max(self.before, _GOOD), 1 - _GOOD
        evidence = self.turned_away * math.log(nearly_all / same) + self.taken * math.log(_GOOD / (1 - same))
        return evidence >= _FAR

    def told_enough(self, number: int) -> bool:
        """Record a rejection. Returns True if a trial without a pace should pause: nearly all up to here failed.

        Attempts sent later are no evidence yet: most of them are the retries of those that failed.
        """
        if self.manner is LoadLevel.SLOWER or number <= self.first:
            return False
        self.told += 1
        self.heard_of = max(self.heard_of, number)
        return self.told >= _HOPELESS and self.told >= _NEARLY_ALL * (self.heard_of - self.first)

    def _is_clear(self) -> bool:
        """Whether the rate is clearly the previous one or clearly near zero (Wald's sequential test)."""
        if self.manner is LoadLevel.FREE:
            return False
        same = min(self.before, _MOST) or (_BAD if self.gap >= _COSTLY else 0.0)
        if not same:
            return False
        less = min(_GOOD, same / 3)
        evidence = self.turned_away * math.log(same / less) + self.taken * math.log((1 - same) / (1 - less))
        if self.manner is LoadLevel.FEWER and self.outcomes < _PLACES:
            # The first few only fill the slots, whatever the limit is.
            return evidence >= _FAR
        return abs(evidence) >= _FAR

    @property
    def good(self) -> bool:
        """Whether hardly any attempts were rejected."""
        return self.share <= _GOOD

    @property
    def outcomes(self) -> int:
        """Number of known outcomes."""
        return self.taken + self.turned_away

    @property
    def share(self) -> float:
        """Rejection rate."""
        return self.turned_away / max(1, self.outcomes)

    @property
    def rate(self) -> float:
        """Admissions per second."""
        return self.taken / max(1e-3, self.ended - self.began)

    @property
    def crowded(self) -> bool:
        """Whether rejections occurred at higher concurrency than admissions, as far as is known."""
        return self.turned_away >= _PROOF and self.fewest >= max(1.0, _NEARLY * self.most)

    @property
    def paced(self) -> bool:
        """Whether the pace was the limiting factor."""
        return self.loose * 2 <= self.outcomes


def best(trials: Sequence[LoadTrial]) -> LoadTrial:
    """Return the FREE trial if its rejection rate is near the lowest, else the one with the most throughput."""
    least = min(trials, key=lambda trial: trial.share)
    near = [trial for trial in trials if trial.share - least.share <= _allowed(trial, least)]
    return max(near, key=lambda trial: (trial.manner is LoadLevel.FREE, trial.rate))


def _allowed(trial: LoadTrial, least: LoadTrial) -> float:
    share = (trial.turned_away + least.turned_away) / (trial.outcomes + least.outcomes)
    variance = share * (1 - share) * (1 / trial.outcomes + 1 / least.outcomes)
    return max(_WASTE, _CHANCE * math.sqrt(variance))
