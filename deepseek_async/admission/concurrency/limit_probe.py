"""State machine of the adaptive limit: startup, hold, probe and drain (see ``adaptive_limit.py``). Pure."""

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
"""Attempts sent immediately; the rest of the initial size follows within a tenth of a second, so that a server with a
lower limit can refuse before all are sent."""
_USED: Final = 0.95
"""Utilisation below which the limit counts as untested and does not grow."""
TOKENS: Final = (-20.0, 4.0)
_REST: Final = 2.0
"""Minimum seconds of hold before a probe; without tokens, the mean duration within these bounds."""
_PATIENCE: Final = (20.0, 60.0)
_PROVEN_REST: Final = 10.0
_RISEN: Final = 1.02
"""A probe that raised the ceiling by this factor is followed by another: the limit is rising."""

_STEP: Final = (0.005, 0.05)
"""Reduction per refusal without numbers: small, doubled if refusals recur soon."""
_AGAIN: Final = 10.0
_CLOSE: Final = 10
"""Maximum number of admissions between two refusals that confirm each other."""
_IN_A_ROW: Final = 4
"""Refusals without an admission between them that indicate a limit far below the attempts in flight."""
TOGETHER: Final = 0.01
"""Exception: refused attempts sent within this many seconds, or a quarter of a round trip, of an accepted one. Answers
that end together make attempts start together, and the last ones of such a burst are refused."""
TAIL: Final = 16
"""Weight of such a burst: this many refusals count as one per attempt in flight; a quarter of them is not a tail."""
_MOST_LOST: Final = 0.5
"""Maximum fraction of attempts that may have ended since the drain began if the search is to start near the rest."""
_ELSEWHERE: Final = 0.02  # share of the account used by others above which this process yields to them


class LimitProbe:
    """Size of the limit, its evidence, and its transitions."""

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
        """``start`` is a configured size, ``hint`` a recent ceiling of the account.

        ``distance`` returns the network round-trip time in seconds, None if unknown.
        """
        if cap < 1:
            raise ValueError(f"cap must be at least 1, got {cap}")
        self.in_flight = 0
        self._cap = cap
        self._distance = distance
        self._chance = chance
        self._w = float(min(cap, max(1.0, _FIRST if start is None else start)))
        self.size = int(self._w)
        self._start = SlowStart(now, hint)
        if start is not None:
            self._start.proven = self.size  # a configured size counts as proven
        self._enter(Mode.STARTUP)
        self._due = now  # next time-based change
        self._growth = Growth(now)
        self._drain = RecoveryProbe()
        self._tokens = 1.0

        self._number = 0
        self._reacted = 0  # attempts up to this number belong to the burst of the last reaction
        self._charged = False  # whether a probe caused the refusals of this burst
        self._epoch_at = now
        self._epochs = 0
        self._proven_at = -math.inf
        self._admissions_then = 0  # admissions at the last refusal
        self._in_a_row = 0.0
        self._presumed = False  # whether the admission is inferred from silence
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
        """Record that the server accepted the attempt."""
        raise NotImplementedError

    # Reactions to refusals.

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
            # Not followed exactly: the larger member yields more, which equalises the shares.
            target = min(target, max(self._w, self.in_flight)) * (1 - _STEP[0])
        if fresh or self._mode is Mode.DRAIN:
            self._hold(target, now)
        elif self._mode is Mode.HOLD:
            self._resize(min(self._w, target))

    def _enter(self, mode: Mode) -> None:
        self._mode = mode
        # Cached, because they are read on each attempt.
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
            least = self._w - 1 if self._w <= START else 0.0  # with few slots, one is a large share
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
        """Lower the size with the attempts in flight, keeping one slot for a probe."""
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
            # Fewer were in flight than at the refusal, which explains the admission: the limit is in between. Half of
            # the slots in transit are missing from the current count, because nothing was sent.
            on_the_way = self._travel.on_the_way(taken_at)
            between = (fewest + taken_at) / 2 + on_the_way / 2 - self._step * taken_at
            self._enter(Mode.PROBE)
            self._growth.ceiling = max(taken_at, between)
            self._growth.begin(now, until=self._growth.ceiling)
        else:
            self._enter(Mode.STARTUP)
            # Or so much has ended meanwhile that the attempts in flight are no evidence.
            self._start.again(self._w, stop=fewest)
            self._growth.ceiling = None
            self._growth.begin(now)

    # Time-based changes.

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
        """Infer admissions from silence; without signals from the server, also grow by time."""
        growth, waiting = self._growth, self._unanswered
        start = self._start
        if self._distance is not None and (seconds := self._distance()) is not None:
            self._travel.connected(seconds)
        silence, near = self._travel.silence, self._is_nearby
        while waiting and ((first := waiting[0]).answered or not first.open or first.sent_at + silence <= now):
            waiting.popleft()
            if first.open and not first.answered:
                self._presume(first, now)
        if not (start.paced or self._overload.trying or self._braked(now)) and start.ticked(now):
            self._make_room(now)
        # A constant failure rate is no evidence of a limit either.
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
        """Infer an admission from the time without a refusal."""
        self._presumed = True
        self.admitted(attempt, now)
        self._presumed = False
        self._start.silent = True

    def _taken(self, attempt: Attempt, now: float) -> None:
        """During startup: as many as were in flight with this attempt are proven to fit."""
        start = self._start
        start.silent = False
        if not self._presumed:
            self._travel.taken_after(now - attempt.sent_at)
        if start.proves(attempt, self._number, now) and not (start.paced or self._overload.trying or self._braked(now)):
            start.proven = attempt.beside
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        room = self._start.room(self._number, now)
        if room > self._w:
            self._w = min(float(self._cap), room)
            self.size = max(self.size, int(self._w))

    def _grow(self, now: float) -> None:
        growth = self._growth
        if self._w >= self._cap:
            # Reached the cap without a refusal: no ceiling is known.
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
        """All slots are used and calls wait: during startup, bring the next growth forward."""
        if self._mode is not Mode.STARTUP:
            return
        start, waiting = self._start, self._unanswered
        early = (
            (self._travel.is_near and start.first)
            or start.waits_for_tick
            or (self._growth.at_start(self._w) and self._w < start.proven + FEW)
        )
        if self._due > now + FIRST_STEP and early:
            self._growth.pause(now)
            self._due = now + FIRST_STEP
        if waiting:
            self._due = min(self._due, waiting[0].sent_at + self._travel.silence)

    @property
    def _is_nearby(self) -> bool:
        """Whether this is the first startup, at a nearby server without any signal so far."""
        return self._travel.is_near and self._start.first

    @property
    def _tested(self) -> bool:
        """Whether the limit is used, by attempts that it admitted itself and not by those of a larger limit before."""
        return min(_USED * self.size, self.size - 2) <= self.in_flight <= self.size

    def _braked(self, now: float) -> bool:
        return self._first_contents.slow(now)
