"""How large a window is, and why: start-up, hold, probe and drain, which ``adaptive.py`` explains. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.concurrency.failure_share import FirstContents
from deepseek_async.admission.concurrency.growth import FIRST_STEP, LONGEST_STEP, START, Growth
from deepseek_async.admission.concurrency.overload import Overload
from deepseek_async.admission.concurrency.recovery_probe import RecoveryProbe
from deepseek_async.admission.concurrency.reported_limit import ReportedLimit
from deepseek_async.admission.concurrency.round_trip import RoundTrips
from deepseek_async.admission.concurrency.slow_start import FEW, SlowStart
from deepseek_async.admission.concurrency_limit import Attempt, Mode

_FIRST: Final = 4
"""Of these the first are sent at once, and the others within a tenth of a second, so that a server that takes fewer can
say so before all have been sent."""
_USED: Final = 0.95
"""A window that is not used to this share has not been tested, and does not grow."""
TOKENS: Final = (-20.0, 4.0)
_REST: Final = 2.0
"""Seconds of hold before a probe, at least, and after them without tokens (between these bounds, the mean duration)."""
_PATIENCE: Final = (20.0, 60.0)
_PROVEN_REST: Final = 10.0
_RISEN: Final = 1.02
"""A probe that found the ceiling this much higher is followed by another: the limit is rising."""

_STEP: Final = (0.005, 0.05)
"""Share by which a refusal without numbers lowers the window: small, doubled when refusals come again within ..."""
_AGAIN: Final = 10.0
_CLOSE: Final = 10
"""Admissions between two refusals, below which they prove each other."""
_IN_A_ROW: Final = 4
"""Refusals without an admission between them that mean that the limit is far below what runs ..."""
TOGETHER: Final = 0.01
"""... unless they were sent within so many seconds, or a quarter of a round trip, of one that was taken: of answers
that end together, and so of attempts that are sent together, the last ones are refused."""
TAIL: Final = 16
"""Then so many count for as many as are in flight: a quarter of them is no tail any more."""
_MOST_LOST: Final = 0.5
"""Of what ran when a drain began, the part that may have ended when the limit is sought near to what is left."""
_ELSEWHERE: Final = 0.02  # share of the account that others must use before we step back for them


class LimitProbe:
    """The size, what it rests on, and what changes it."""

    __slots__ = (
        "_admissions",
        "_admissions_then",
        "_alert",
        "_before",
        "_cap",
        "_chance",
        "_charged",
        "_distance",
        "_drain",
        "_draining",
        "_due",
        "_epoch_at",
        "_epochs",
        "_first_contents",
        "_growth",
        "_in_a_row",
        "_last_taken",
        "_lost",
        "_mode",
        "_named",
        "_number",
        "_overload",
        "_presumed",
        "_proven_at",
        "_reacted",
        "_refusals",
        "_row_after",
        "_start",
        "_step",
        "_tokens",
        "_told",
        "_travel",
        "_unanswered",
        "_w",
        "in_flight",
        "size",
    )

    def __init__(
        self,
        *,
        cap: int,
        chance: Callable[[], float],
        now: float,
        start: float | None = None,
        hint: float | None = None,
        distance: Callable[[], float | None] | None = None,
    ) -> None:
        """``start`` is a size that was chosen, ``hint`` a ceiling that the account had lately.

        ``distance`` tells how many seconds a packet takes to the server and back, if that is known.
        """
        if cap < 1:
            raise ValueError(f"cap must be at least 1, not {cap}")
        self.in_flight = 0
        self._cap = cap
        self._distance = distance
        self._chance = chance
        self._w = float(min(cap, max(1.0, _FIRST if start is None else start)))
        self.size = int(self._w)
        self._start = SlowStart(now, hint)
        if start is not None:
            self._start.proven = self.size  # so says whoever chose it
        self._enter(Mode.STARTUP)
        self._due = now  # when time alone changes something next
        self._growth = Growth(now)
        self._drain = RecoveryProbe()
        self._tokens = 1.0

        self._number = 0
        self._reacted = 0  # attempts up to this number were sent before the last reaction: one burst with it
        self._charged = False  # whether the refusals of this burst were met by growing
        self._epoch_at = now
        self._epochs = 0
        self._proven_at = -math.inf
        self._admissions_then = 0  # at the last refusal
        self._in_a_row = 0.0
        self._presumed = False  # whether an admission is told because nothing was heard
        self._last_taken: Attempt | None = None
        self._row_after: Attempt | None = None
        self._step = _STEP[0]

        self._unanswered: deque[Attempt] = deque()
        self._travel = RoundTrips(now)
        self._named = ReportedLimit(now)
        self._overload = Overload(now)
        self._lost = 0
        self._before = self._w
        self._first_contents = FirstContents()
        self._admissions = 0
        self._refusals = 0
        self._told = 0

    def admitted(self, attempt: Attempt, now: float) -> None:
        """The server has taken the attempt."""
        raise NotImplementedError

    # What a refusal does.

    def _react_to_numbers(self, attempt: Attempt, now: float, ours: int, others: int, *, fresh: bool) -> None:
        if ours <= 1:
            if self._mode is Mode.DRAIN:
                self._follow(attempt, now, refused=True)
            else:
                self._enter_drain(now)
            return
        target: float = ours + self._travel.spare(ours)
        if target >= attempt.beside:
            if attempt.beside > ours + others:
                self._travel.overestimated(self._number)
                target = ours + self._travel.spare(ours)
            else:
                self._named.contradicted(self._number, now)
        if others > _ELSEWHERE * (ours + others):
            # Not to be taken exactly: whoever has more steps back more, and so shares become equal.
            target = min(target, max(self._w, self.in_flight)) * (1 - _STEP[0])
        if fresh or self._mode is Mode.DRAIN:
            self._hold(target, now)
        elif self._mode is Mode.HOLD:
            self._resize(min(self._w, target))

    def _enter(self, mode: Mode) -> None:
        self._mode = mode
        # Asked for each attempt.
        self._draining = mode is Mode.DRAIN
        self._alert = mode is Mode.DRAIN or mode is Mode.STARTUP

    def _react_to_silence(self, now: float, since: int, *, fresh: bool) -> None:
        holding = self._mode is Mode.HOLD
        proven = since < _CLOSE
        if holding and not proven:
            return
        if fresh:
            if holding:
                self._proven_at = now
            again = holding and now - self._epoch_at < _AGAIN
            self._step = min(_STEP[1], self._step * 2) if again else max(_STEP[0], self._step / 2)
        if self._in_a_row >= _IN_A_ROW:
            self._enter_drain(now)
        elif fresh:
            least = self._w - 1 if self._w <= START else 0.0  # of few places one is much
            self._hold(max(least, min(self._w, self.in_flight) * (1 - self._step)), now)
        elif holding:
            self._resize(min(self._w, self.in_flight))

    def _hold(self, size: float, now: float) -> None:
        ceiling = self._growth.ceiling
        if self._mode is Mode.PROBE and ceiling is not None and size > _RISEN * ceiling:
            self._tokens = max(self._tokens, 1.0)
        self._begin_epoch(Mode.HOLD, now)
        self._resize(size)
        self._growth.ceiling = self._w
        self._due = now + _REST

    def _begin_epoch(self, mode: Mode, now: float) -> None:
        if self._mode is Mode.STARTUP:
            self._start.last = self._number
        self._enter(mode)
        self._epochs += 1
        self._epoch_at = now
        self._reacted = self._number

    def _resize(self, size: float) -> None:
        self._w = min(max(1.0, size), float(self._cap))
        whole = int(self._w)
        self.size = whole + (self._chance() < self._w - whole)

    # Drain.

    def _enter_drain(self, now: float) -> None:
        self._begin_epoch(Mode.DRAIN, now)
        self._drain.begin(now, self.in_flight, self._travel.round_trip)
        self._due = self._drain.due
        self.size = min(self._cap, self.in_flight)

    def _follow(self, attempt: Attempt, now: float, *, refused: bool = False) -> None:
        """Let the size fall with what is in flight, keeping room for the one attempt that may ask."""
        if refused:
            self._drain.refused(self.in_flight)
        self._drain.over(attempt, now)
        self._due = self._drain.due
        self.size = min(self._cap, self.in_flight + self._drain.permits)

    def _leave_drain(self, attempt: Attempt, now: float) -> None:
        self._due = now
        taken_at = float(max(1, self.in_flight))
        self._resize(taken_at)
        fewest = self._drain.fewest
        if attempt.beside < fewest and taken_at >= _MOST_LOST * fewest:
            # Fewer ran than when it was refused, which explains the admission: the limit is between the two. Half of
            # those on the way are missing from what is in flight now, because nothing has been sent.
            on_the_way = self._travel.on_the_way(taken_at)
            between = (fewest + taken_at) / 2 + on_the_way / 2 - self._step * taken_at
            self._enter(Mode.PROBE)
            self._growth.ceiling = max(taken_at, between)
            self._growth.begin(now, until=self._growth.ceiling)
        else:
            self._enter(Mode.STARTUP)
            # Or so much has ended meanwhile that what runs says nothing.
            self._start.again(self._w, stop=fewest)
            self._growth.ceiling = None
            self._growth.begin(now)

    # What time does.

    def _advance(self, now: float) -> None:
        mode = self._mode
        if mode is Mode.DRAIN:
            if self._drain.probe is not None:
                self._presume(self._drain.probe, now)
            else:
                self._drain.permit()
                self._due = self._drain.due
                self.size = min(self._cap, self.in_flight + 1)
        elif mode is Mode.HOLD:
            self._consider_probe(now)
        elif mode is Mode.STARTUP and self._w < self._cap:
            self._start_up(now)
        else:
            self._grow(now)

    def _consider_probe(self, now: float) -> None:
        self._travel.measure_flow(now)
        rested = now - self._epoch_at
        patience = min(max(_PATIENCE[0], self._travel.held), _PATIENCE[1])
        ready = rested >= _REST and now - self._proven_at >= _PROVEN_REST and self._w < self._cap and self._tested
        if ready and (self._tokens >= 1 or rested >= patience):
            self._enter(Mode.PROBE)
            self._growth.begin(now)
            self._due = now
        else:
            self._due = now + LONGEST_STEP

    def _start_up(self, now: float) -> None:
        """Count as taken what was not refused for so long; and where nothing is said, grow by time as well."""
        growth, waiting = self._growth, self._unanswered
        start = self._start
        if self._distance is not None and (seconds := self._distance()) is not None:
            self._travel.connected(seconds)
        silence, near = self._travel.silence, self._is_nearby
        while waiting and ((first := waiting[0]).answered or not first.open or first.sent_at + silence <= now):
            waiting.popleft()
            if first.open and not first.answered:
                self._presume(first, now)
        # Nor is a share that fails whatever the load a limit that was met.
        free = start.silent or start.paced or self._overload.troubled
        if (free or growth.at_start(self._w)) and self._tested and not self._braked(now):
            grown = growth.grown(self._w, now, unheard=start.silent)
            if not free:
                grown = max(self._w, min(grown, float(start.proven + FEW)))
            self._w = min(self._cap, grown)
            self.size = max(self.size, int(self._w))
        else:
            growth.pause(now)
        if near and self._tested:
            self._w = max(self._w, min(float(self._cap), start.nearby(now)))
            self.size = max(self.size, int(self._w))
        self._due = now + LONGEST_STEP
        if near or (growth.at_start(self._w) and (free or self._w < start.proven + FEW)):
            self._due = now + FIRST_STEP
        if waiting:
            self._due = min(self._due, waiting[0].sent_at + silence)

    def _presume(self, attempt: Attempt, now: float) -> None:
        """Nothing was heard of it for so long that it has been taken."""
        self._presumed = True
        self.admitted(attempt, now)
        self._presumed = False
        self._start.silent = True

    def _taken(self, attempt: Attempt, now: float) -> None:
        """At the start, as many as were in flight with this one were taken."""
        start = self._start
        start.silent = False
        if not self._presumed:
            self._travel.taken_after(now - attempt.sent_at)
        if start.proves(attempt, self._number, now) and not (start.paced or self._overload.trying or self._braked(now)):
            start.proven = attempt.beside
            room = start.room(self._number, now)
            if room > self._w:
                self._w = min(float(self._cap), room)
                self.size = max(self.size, int(self._w))

    def _grow(self, now: float) -> None:
        growth = self._growth
        if self._w >= self._cap:
            # Nothing was refused up to here: no ceiling is known.
            self._begin_epoch(Mode.HOLD, now)
            growth.ceiling = None
            self._due = now + _REST
        elif self._w >= growth.until:
            self._hold(self._w, now)
        elif not self._tested or self._braked(now):
            growth.pause(now)
            self._due = now + LONGEST_STEP
        else:
            self._w = min(self._cap, growth.grown(self._w, now))
            self.size = max(self.size, int(self._w))
            self._due = growth.next_slot(self._w, now)

    def _hasten(self, now: float) -> None:
        """All places are taken, and calls wait: at the start those that may come are to come soon."""
        if self._mode is not Mode.STARTUP:
            return
        start, waiting = self._start, self._unanswered
        early = (self._travel.is_near and start.first) or (
            self._growth.at_start(self._w) and self._w < start.proven + FEW
        )
        if self._due > now + FIRST_STEP and early:
            self._growth.pause(now)
            self._due = now + FIRST_STEP
        if waiting:
            self._due = min(self._due, waiting[0].sent_at + self._travel.silence)

    @property
    def _is_nearby(self) -> bool:
        """Whether it begins at a server nearby that has not said anything."""
        return self._travel.is_near and self._start.first

    @property
    def _tested(self) -> bool:
        """Whether the window is used, and by what it let in itself: not by what still runs of a larger one."""
        return min(_USED * self.size, self.size - 2) <= self.in_flight <= self.size

    def _braked(self, now: float) -> bool:
        return self._first_contents.slow(now)
