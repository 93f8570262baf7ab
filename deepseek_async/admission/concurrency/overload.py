"""Diagnosis of rejections by experiment: request rate, concurrency, or independent of load.

A 503 does not state its cause. A rate limit (``limit_req`` of nginx) requires attempts to be spaced out, a concurrency
limit (``limit_conn``) requires fewer at once, and a service with a constant failure rate requires neither: slowing
down would only reduce throughput. So when the rejection rate rises, three load levels are tried in turn, with a dozen
or two attempts each, and the one that stops the rejections is kept:

- **slower**: no faster than the server has just accepted.
- **fewer**: no more at once than were in flight at a rejection.
- **free**: as before. If neither helps, the rate becomes the baseline, and only the excess counts from then on.

If nothing is accepted at all, single attempts probe the server at growing intervals. Pure: time is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from deepseek_async.admission.concurrency.change_detection import MOST_GIVEN, ChangeDetector
from deepseek_async.admission.concurrency.diagnosis import Advice, Cause
from deepseek_async.admission.concurrency.load_trial import LoadLevel, LoadTrial
from deepseek_async.admission.concurrency.overload_search import NextStep, OverloadSearch
from deepseek_async.admission.concurrency.pacing import Pacing
from deepseek_async.admission.concurrency.retrial_interval import RetrialInterval
from deepseek_async.admission.concurrency_limit import Attempt

_FEW: Final = 10
"""Minimum number of attempts at a pace before it is reconsidered."""
_BLOCK: Final = 24
"""Attempts after which they are counted again from zero."""
_FIRST_GAP: Final = 0.002
_MOSTLY: Final = 0.75
"""Rejection rate from which single attempts probe the server."""
_LONGEST_GAP: Final = 1.0
"""Maximum seconds between probes while nothing is accepted."""
_LONGEST_SAID: Final = 5.0
"""The same for a server that reports a rate limit; its own request may be longer."""
_LONGEST_TRIED: Final = 0.5
_FASTER: Final = 0.5
"""Factor of the gap after each later admission."""
_SLOWER: Final = 0.9
"""Fraction of the accepted rate that is tried."""
_ROUGHLY: Final = 0.2
"""Maximum error of a rejection rate estimated from a few dozen outcomes."""
_STRIKES: Final = 3
"""Trials at ever slower pace after which the pace is ruled out as the cause."""
_LOOSE: Final = 16
"""Consecutive attempts that did not wait for the pace, after which the pace is dropped."""
_NARROW: Final = 0.75
"""Rejections with fewer in flight than this fraction of the width contradict the width."""
_SUSPECT: Final = 0.88
"""A higher rejection rate is accepted as baseline only for a while."""
_OUTAGE: Final = 1.0
"""Seconds without any admission, at whatever pace, that indicate an outage and not a limit."""
_REALLY_BACK: Final = 64
"""Minimum number of attempts between two conclusions of that kind."""
_DOUBTED: Final = 1.5
"""A pace that slowed down by this factor is reconsidered: it may not be the cause."""


class Overload:
    """Receives every rejection, and while ``active`` also every send.

    Refusals arrive soon, so an attempt without a refusal for three times as long counts as accepted, long before the
    server says so.
    """

    def __init__(self, now: float) -> None:
        self.cause = Cause.UNKNOWN
        self.active = False
        self.due = now
        """When the next attempt may start."""
        self.width = 1
        """Concurrency of the current or last FEWER trial."""
        self._pacing: Pacing | None = None
        self.surprise: Final = ChangeDetector(now)
        self._reacted = 0
        self._settling = self._searching = False
        self._found = False  # whether an attempt of the search was accepted
        self._undecided: deque[tuple[int, int, float]] = deque()
        self._unlucky: dict[int, int] = {}
        self._trial: LoadTrial | None = None
        self._experiment = OverloadSearch()
        self._loose = 0
        self._kept: LoadTrial | None = None
        """Outcomes at the chosen pace."""
        self._strikes = 0
        self._reconsideration = RetrialInterval()
        self._nothing_since = now
        self._back = -_REALLY_BACK
        self._sure = False
        self._free: LoadTrial | None = None
        """Last FREE trial."""

    @property
    def troubled(self) -> bool:
        """Whether unexplained rejections occurred recently."""
        return self.surprise.any or self.trying

    @property
    def trying(self) -> bool:
        """Whether the cause is under investigation."""
        return self._settling or self._searching or self._trial is not None

    # Observations.

    def sent(self, number: int, level: int, now: float, *, full: bool) -> Advice:
        """Record an attempt sent with ``level`` others in flight; ``full``: it took the last slot."""
        self._undecided.append((number, level, now))
        pace = self._pacing
        if pace is not None:
            self._loose = self._loose + 1 if now - pace.due > pace.gap / 2 else 0
            pace.started(now)
            self.due = pace.due
            if self._trial is not None:
                self._trial.loose += self._loose > 0
            elif self._loose >= _LOOSE and full and not self._searching:
                self.restart()
        return self.look(now)

    def taken(self, attempt: Attempt, now: float) -> Advice:
        """Record an explicit admission, which implies that of earlier attempts without a refusal."""
        number = attempt.number
        if not self._searching or number <= self._reacted:
            return self.look(now)
        if not self._found and attempt.sent_at - self._nothing_since >= _OUTAGE and number - self._back > _REALLY_BACK:
            self._back = number
            return Advice.RESTART
        return self.look(now, number)

    def look(self, now: float, answered: int = 0) -> Advice:
        """Process the outcomes that have become final."""
        undecided, before = self._undecided, now - self.surprise.patience
        while undecided and (undecided[0][2] <= before or undecided[0][0] <= answered):
            number, level, sent_at = undecided.popleft()
            beside = self._unlucky.pop(number, None)
            trial = self._trial
            if trial is None:
                self._known(number, beside, level, sent_at, now)
            elif number > trial.first and trial.count(beside, level, sent_at):
                return self._judge(trial, now)
        if self._settling and now >= self.due:
            return self._settled(now)
        return Advice.NOTHING

    def turned_away(
        self, attempt: Attempt, now: float, *, decided: int, last: int, beside: int, said: bool, fresh: bool
    ) -> Advice:
        """Record a rejection with ``beside`` others in flight; ``last`` is the last attempt sent.

        ``decided`` is the last attempt sent ``patience`` ago. ``said``: a 429 for concurrency. ``fresh``: the limit has
        not reacted to it yet.
        """
        surprise, number = self.surprise, attempt.number
        surprise.met(last, now - attempt.sent_at, beside)
        if self.cause is Cause.STRAY and self._trial is None and not self._searching:
            surprise.learn(number, decided)
        if self._undecided and number >= self._undecided[0][0]:
            self._unlucky[number] = beside
        advice = self.look(now)
        if advice is not Advice.NOTHING or self._trial is not None or self._settling:
            surprise.more(number)
            if self._trial is not None and self._trial.told_enough(number):
                self.due = max(self.due, now + surprise.patience)
            return advice
        if self._searching:
            return self._in_search(number, last, now)
        if self.cause is Cause.RATE and self._pacing is not None:
            return self._too_fast(self._pacing, self._kept, number, last, now)
        if self._is_doubtful(beside):
            return self._settle(last, now, sure=True)
        surprise.count(number, decided, attempt.sent_at, beside=beside, counts=fresh or not said)
        if surprise.is_alarm(known=said or self.cause is Cause.WIDTH):
            return self._settle(last, now)
        return Advice.REACT if said or self.cause is Cause.WIDTH else Advice.NOTHING

    def throttled(self, number: int, last: int, now: float, until: float) -> None:
        """Record a 429 for the request rate; nothing may be sent before ``until``."""
        pace = self._pacing
        if self.cause is Cause.RATE and pace is not None and not self._searching:
            if number > self._reacted:
                self._reacted = last
                pace.refused(until)
        else:
            taken, seconds = self.surprise.since(number, until)
            gap = min(seconds / max(1, taken), max(until - now, _LONGEST_GAP))
            pace = Pacing(max(_FIRST_GAP, gap), until, longest=_LONGEST_SAID, costly=True)
            self._keep(pace, until)
            self._reacted = last
        self.surprise.begin(until, last)
        pace.due = self.due = until  # one at that time, the next a gap later

    def restart(self) -> None:
        """Restart after an outage; keeps the baseline."""
        self._to(Cause.STRAY if self.surprise.floor else Cause.UNKNOWN)

    # Trials.

    def _is_doubtful(self, beside: int) -> bool:
        """Whether the chosen load level wastes enough attempts to reconsider it, less often each time."""
        narrower = self.cause is Cause.WIDTH
        if not (beside < _NARROW * self.width if narrower else self.surprise.floor > _SUSPECT):
            return False
        self._reconsideration.met()
        if not self._reconsideration.is_due(_FEW if narrower else 4 * _BLOCK):
            return False
        self._reconsideration.acted()
        return True

    def _settle(self, last: int, now: float, *, sure: bool = False) -> Advice:
        """Send nothing until all outcomes are final; ``sure``: start trials then in any case."""
        self.active = self._settling = True
        self._sure = sure
        self._free = None
        self._reacted = last
        self.due = now + self.surprise.patience
        return Advice.NOTHING

    def _settled(self, now: float) -> Advice:
        self._settling = False
        surprise = self.surprise
        refused, began = surprise.refused, surprise.began
        taken, is_alarm = surprise.settled(self._reacted)
        if not (is_alarm or self._sure):
            self.active = self._pacing is not None
            return Advice.NOTHING
        self._experiment.begin()
        if refused >= max(_MOSTLY, 1 - (1 - self.surprise.floor) / 4) * (refused + taken):
            self._search(now, max(now - self.surprise.patience - began, _FIRST_GAP) / max(1, taken))
            return Advice.LIFT
        return self._lift(now)

    def _known(self, number: int, beside: int | None, level: int, sent_at: float, now: float) -> None:
        pace, kept = self._pacing, self._kept
        if kept is not None and number > kept.first:
            kept.count(beside, level, sent_at)
        if kept is not None and kept.outcomes >= _BLOCK and not kept.good:
            self._strikes = self._strikes + 1 if kept.share > self.surprise.floor + _ROUGHLY else 0
            self._kept = LoadTrial(LoadLevel.SLOWER, number, now, kept.gap)
        if pace is None or number <= self._reacted:
            return
        if self._searching:
            if beside is None:
                # With a rate limit, refusals in between did not use up any of the rate.
                since = pace.gap if self._found else max(pace.gap, min(sent_at - self.surprise.began, 2 * pace.gap))
                pace.gap = max(_FIRST_GAP / 2, since * _FASTER)
                pace.due = self.due = min(pace.due, now + pace.gap)
                self._found = True
        elif beside is None and not self._loose:
            pace.taken(now)

    def _search(self, now: float, gap: float) -> None:
        if not self._searching:
            self._nothing_since = now
        self._searching, self._found = True, False
        self._kept = None
        self._trial = None
        self._pacing = Pacing(min(gap, _LONGEST_GAP), now, longest=_LONGEST_GAP)
        self._pacing.due = self.due = now + self._pacing.gap

    def _in_search(self, number: int, last: int, now: float) -> Advice:
        pace = self._pacing
        if pace is None or number <= self._reacted:
            return Advice.NOTHING
        self._reacted = last
        if self._found:
            self._try(LoadLevel.SLOWER, now, gap=min(pace.gap / _FASTER, _LONGEST_TRIED))
        else:
            pace.refused(now)
            self.due = pace.due
        return Advice.NOTHING

    def _try(self, manner: LoadLevel, now: float, *, gap: float = 0.0) -> None:
        self._searching = False
        first = self._undecided[-1][0] if self._undecided else self._reacted
        other = self._experiment.last(LoadLevel.SLOWER if manner is LoadLevel.FREE else LoadLevel.FREE)
        before = other.share if other is not None else 0.0
        self._trial = LoadTrial(manner, first, now, min(gap, _LONGEST_GAP), before)
        self._loose = 0
        if manner is LoadLevel.SLOWER:
            self._pacing = Pacing(min(gap, _LONGEST_GAP), now, longest=_LONGEST_GAP)
            # Answers that took minutes yield a gap of minutes, and a gap of seconds is as informative.
            self._pacing.due = self.due = now + min(gap, _LONGEST_SAID)
        else:
            self._pacing = None
            self.due = now

    def _judge(self, trial: LoadTrial, now: float) -> Advice:
        self._trial = None
        if trial.manner is LoadLevel.FREE:
            self._free = trial
        then, base = self._experiment.after(trial, self.width, self.surprise.fewest)
        if then is NextStep.SLOWER:
            return self._try_slower(base, now)
        if then is NextStep.FEWER:
            return self._try_fewer(base, now)
        return self._lift(now) if then is NextStep.FREE else self._choose(now)

    def _lift(self, now: float) -> Advice:
        """Try the load level from before the rejections, for comparison."""
        self._try(LoadLevel.FREE, now)
        return Advice.LIFT

    def _try_slower(self, trial: LoadTrial, now: float) -> Advice:
        """Try the rate that was accepted in ``trial``."""
        if trial.taken < 2:
            self._search(now, max(_FIRST_GAP, 2 * trial.gap))
        else:
            self._try(LoadLevel.SLOWER, now, gap=1 / trial.rate / _SLOWER)
        return Advice.LIFT

    def _try_fewer(self, trial: LoadTrial, now: float) -> Advice:
        """Try the lowest concurrency at which ``trial`` had a rejection."""
        self.width = trial.fewest
        self._try(LoadLevel.FEWER, now)
        return Advice.NARROW

    def _choose(self, now: float) -> Advice:
        chosen, floor, outcomes = self._experiment.best, self._experiment.floor, self._experiment.outcomes
        last = self._undecided[-1][0] if self._undecided else self._reacted
        if chosen.share > MOST_GIVEN:
            self._search(now, _LONGEST_GAP)
            return Advice.LIFT
        if chosen.manner is LoadLevel.SLOWER:
            self._keep(Pacing(chosen.gap, now, longest=_LONGEST_GAP, floor=floor), now)
        elif chosen.manner is LoadLevel.FEWER and chosen.good:
            self._to(Cause.WIDTH)
        else:
            # With a constant failure rate, a limit that reacts to each failure would shrink to one.
            self._to(Cause.STRAY)
        self.surprise.give(floor, outcomes, last)
        return Advice.PROBE if self.cause is Cause.WIDTH else Advice.LIFT

    def _keep(self, pace: Pacing, now: float) -> None:
        self._to(Cause.RATE)
        self.active = True
        self._pacing, self.due, self._strikes = pace, pace.due, 0
        self._kept = LoadTrial(LoadLevel.SLOWER, self._reacted, now, pace.gap)

    def _too_fast(self, pace: Pacing, kept: LoadTrial | None, number: int, last: int, now: float) -> Advice:
        if number <= self._reacted or kept is None:
            return Advice.NOTHING
        self._reacted = last
        self._reconsideration.met()
        pace.refused(now)
        self.due = pace.due
        slower = pace.gap > _DOUBTED * kept.gap and kept.outcomes >= _FEW
        if slower and kept.good:
            self._kept = LoadTrial(LoadLevel.SLOWER, last, now, pace.gap)
            return Advice.NOTHING
        stuck = (pace.gap >= pace.longest or self._strikes >= _STRIKES) and kept.outcomes >= _FEW
        if slower or ((stuck or kept.crowded) and self._reconsideration.is_due()):
            return self._try_anew(pace, kept, now)
        return Advice.NOTHING

    def _try_anew(self, pace: Pacing, kept: LoadTrial, now: float) -> Advice:
        """Start new trials: the pace keeps slowing down, or concurrency is the cause."""
        self._reconsideration.acted()
        kept.gap = pace.gap
        self._experiment.begin()
        if kept.crowded:
            # The result without a pace is known, and each trial costs two dozen attempts.
            self._experiment.begin(kept, *([self._free] if self._free is not None else []))
            return self._try_fewer(kept, now)
        return self._judge(kept, now)

    def _to(self, cause: Cause) -> None:
        if cause is not self.cause:
            self._reconsideration.clear()
        self.cause = cause
        self.active = cause is Cause.RATE
        self._pacing = self._kept = self._trial = None
        self._searching = self._settling = False
        self._experiment.begin()
        self._loose = 0
        self.due = -math.inf
        self._undecided.clear()
        self._unlucky.clear()
