"""Find the number of attempts that the server runs at once, by being refused as rarely as possible.

Nothing but a 429 tells the limit, which moves (with the balance, with the hour) and is shared with other processes. A
429 comes after one round trip, a completion after seconds or minutes, and an attempt once taken is never evicted. So
the window runs on refusals and admissions, takes a refusal for a *measurement*, and never cuts deep:

- **startup**: double every 1.5 s until the first refusal.
- **hold**: stay at the measured limit, plus the few slots that are always empty at the server because their
  replacements travel (``travel.py``). A refusal with numbers in its body gives the limit exactly and is believed at
  once. One without numbers, in the middle of admissions, may be stray: it is proven by another one close to it.
- **probe**: grow slowly past the known ceiling, faster the longer nothing is refused; end at the first refusal. Every
  refusal met so is paid with a token, and admissions earn tokens: probing costs 0.3 % of the attempts, but at least
  one probe in 20 to 60 s.
- **drain**: several refusals without an admission between them, or a named limit of 0: the limit is well below what
  runs, and attempts are useless until enough have ended. One attempt at a time asks. Its admission tells within two
  numbers where the limit is, and the window returns between them.

Pure: time and chance are arguments, so the class that runs in production also runs in ``benchmarks/simulation``, where
the constants come from. The order of magnitude of all of them matters; the second digit of none does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

from deepseek_async.admission.concurrency.brake import FirstContents, Overload
from deepseek_async.admission.concurrency.drain import Drain
from deepseek_async.admission.concurrency.growth import LONGEST_STEP, Growth
from deepseek_async.admission.concurrency.named_limit import NamedLimit
from deepseek_async.admission.concurrency.travel import Travel
from deepseek_async.admission.window import Attempt, ConcurrencyStatistics, Mode

START: Final = 32
"""Attempts at once before anything is known."""
_RESTART: Final = 8
"""Attempts at once after an outage, at least; a server that comes back is not to be thrown over again."""
_USED: Final = 0.95
"""A window that is not used to this share has not been tested, and does not grow."""
_EARNED: Final = 0.003
_TOKENS: Final = (-20.0, 4.0)
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
"""Refusals without an admission between them that mean that the limit is far below what runs."""
_ELSEWHERE: Final = 0.02  # share of the account that others must use before we step back for them
_SHRINK: Final = 0.9


class AdaptiveWindow:
    """A window that adapts to refusals; see the module, and ``window.Window`` for the methods.

    ``size`` is never above ``cap`` and never below 1, except in a drain, where it follows what is in flight to 0.
    ``chance`` gives numbers in [0, 1): rounding by chance keeps several processes on one account from freezing at
    unequal shares.
    """

    __slots__ = (
        "_admissions",
        "_cap",
        "_chance",
        "_charged",
        "_drain",
        "_due",
        "_epoch_at",
        "_epochs",
        "_first_contents",
        "_growth",
        "_in_a_row",
        "_mode",
        "_named",
        "_number",
        "_overload",
        "_proven_at",
        "_reacted",
        "_refusals",
        "_since_refusal",
        "_step",
        "_tokens",
        "_told",
        "_travel",
        "_unanswered",
        "_w",
        "in_flight",
        "size",
    )

    def __init__(self, *, cap: int, chance: Callable[[], float], now: float, start: float | None = None) -> None:
        if cap < 1:
            raise ValueError(f"cap must be at least 1, not {cap}")
        self.in_flight = 0
        self._cap = cap
        self._chance = chance
        self._w = float(min(cap, max(1.0, START if start is None else start)))
        self.size = int(self._w)
        self._mode = Mode.STARTUP
        self._due = now  # when time alone changes something next
        self._growth = Growth(now)
        self._drain = Drain()
        self._tokens = 1.0

        self._number = 0
        self._reacted = 0  # attempts up to this number were sent before the last reaction: one burst with it
        self._charged = False  # whether the refusals of this burst were met by growing
        self._epoch_at = now
        self._epochs = 0
        self._proven_at = -math.inf
        self._since_refusal = 0
        self._in_a_row = 0
        self._step = _STEP[0]

        self._unanswered: deque[Attempt] = deque()
        self._travel = Travel(now)
        self._named = NamedLimit(now)
        self._overload = Overload()
        self._first_contents = FirstContents()
        self._admissions = 0
        self._refusals = 0
        self._told = 0

    def may_send(self, now: float) -> bool:
        """Whether one more attempt may be sent."""
        if now >= self._due:
            self._advance(now)
        return self.in_flight < self.size

    def next_change(self, now: float) -> float | None:
        """When to ask again if nothing ends before; None if time changes nothing."""
        if self.in_flight < self.size:
            return now
        return self._due if self._due < math.inf else None

    def sent(self, now: float) -> Attempt:
        """Count one attempt as in flight."""
        self.in_flight = beside = self.in_flight + 1
        self._number = number = self._number + 1
        attempt = Attempt(now, number, beside)
        waiting = self._unanswered
        waiting.append(attempt)
        # Each attempt is appended and removed once, so this costs the same however many are in flight.
        while (first := waiting[0]).answered or not first.open or now - first.sent_at > self._travel.grace:
            if first.open and not first.answered:
                self.admitted(first, now)
            waiting.popleft()
        if self._mode is Mode.DRAIN:
            self._drain.sent(attempt, answer_by=now + self._travel.grace)
            self._due = self._drain.due
        return attempt

    def admitted(self, attempt: Attempt, now: float) -> None:
        """The server has taken the attempt."""
        if attempt.answered or not attempt.open:
            return
        attempt.answered = True
        self._admissions += 1
        self._since_refusal += 1
        self._in_a_row = 0
        if self._tokens < _TOKENS[1]:
            self._tokens += _EARNED
        if self._mode is Mode.DRAIN and attempt.number > self._reacted:
            self._leave_drain(attempt, now)

    def first_content(self, attempt: Attempt, now: float) -> None:
        """The first token has come."""
        self._first_contents.came_after(now - attempt.sent_at, now)

    def ended(self, attempt: Attempt, now: float, *, overload: bool = False) -> None:
        """The attempt is over in any way but a refusal."""
        if not attempt.open:
            return
        attempt.open = False
        self.in_flight -= 1
        if attempt.answered:
            self._travel.ended_after(now - attempt.sent_at)
        if overload or self._overload.share:
            self._overload.ended(overload)
            if self._mode is not Mode.DRAIN and self._overload.shrinks(now):
                self._resize(self._w * _SHRINK)
        if self._mode is Mode.DRAIN:
            self._follow(attempt, now)

    def refused(
        self,
        attempt: Attempt,
        now: float,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
    ) -> None:
        """The server answered 429, with these numbers in the body or none."""
        if not attempt.open:
            return
        attempt.open = False
        self.in_flight -= 1
        self._refusals += 1
        self._named.balance_bound = balance_bound
        if not attempt.answered:
            self._travel.refused_after(now - attempt.sent_at)
        self._travel.measure_flow(now)
        since, self._since_refusal = self._since_refusal, 0
        self._in_a_row += 1
        fresh = attempt.number > self._reacted
        if fresh:
            self._charged = self._mode is not Mode.HOLD
        if self._charged:
            self._tokens = max(_TOKENS[0], self._tokens - 1)

        others = self._named.others(limit, current, attempt.beside, now)
        if others is not None and limit is not None:
            self._told += 1
            self._react_to_numbers(attempt, now, limit - others, others, fresh=fresh)
        elif self._mode is Mode.DRAIN:
            self._follow(attempt, now, refused=True)
        else:
            self._react_to_silence(now, since, fresh=fresh)

    def restart(self, now: float) -> None:
        """After an outage: a tenth of the ceiling, and start-up from there."""
        ceiling = self._growth.ceiling
        self._begin_epoch(Mode.STARTUP, now)
        self._resize(max(_RESTART, 0.1 * (self._cap if ceiling is None else ceiling)))
        self._growth.ceiling = None
        self._growth.begin(now)
        self._due = now

    def statistics(self, now: float) -> ConcurrencyStatistics:
        """The window as it is now."""
        return ConcurrencyStatistics(
            size=self.size,
            in_flight=self.in_flight,
            mode=self._mode,
            ceiling=None if self._growth.ceiling is None else int(self._growth.ceiling),
            limit=self._named.limit,
            current=self._named.current,
            balance_bound=self._named.balance_bound,
            numbers_doubted=self._named.doubted(now),
            tokens=self._tokens,
            braked=self._braked(now),
            attempts=self._number,
            admissions=self._admissions,
            refusals_with_numbers=self._told,
            refusals_without_numbers=self._refusals - self._told,
            epochs=self._epochs,
        )

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
            self._named.contradicted(self._number, now)
        if others > _ELSEWHERE * (ours + others):
            # Not to be taken exactly: whoever has more steps back more, and so shares become equal.
            target = min(target, max(self._w, self.in_flight)) * (1 - _STEP[0])
        if fresh or self._mode is Mode.DRAIN:
            self._hold(target, now)
        elif self._mode is Mode.HOLD:
            self._resize(min(self._w, target))

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
            self._hold(min(self._w, self.in_flight) * (1 - self._step), now)
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
        self._mode = mode
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
        if attempt.beside < self._drain.fewest:
            # Fewer ran than when it was refused, which explains the admission: the limit is between the two. Half of
            # those on the way are missing from what is in flight now, because nothing has been sent.
            on_the_way = self._travel.on_the_way(taken_at)
            between = (self._drain.fewest + taken_at) / 2 + on_the_way / 2 - self._step * taken_at
            self._mode = Mode.PROBE
            self._growth.ceiling = max(taken_at, between)
            self._growth.begin(now, until=self._growth.ceiling)
        else:
            self._mode = Mode.STARTUP
            self._growth.ceiling = None
            self._growth.begin(now)

    # What time does.

    def _advance(self, now: float) -> None:
        mode = self._mode
        if mode is Mode.DRAIN:
            if self._drain.probe is not None:
                self.admitted(self._drain.probe, now)
            else:
                self._drain.permit()
                self._due = self._drain.due
                self.size = min(self._cap, self.in_flight + 1)
        elif mode is Mode.HOLD:
            self._consider_probe(now)
        else:
            self._grow(now)

    def _consider_probe(self, now: float) -> None:
        self._travel.measure_flow(now)
        rested = now - self._epoch_at
        patience = min(max(_PATIENCE[0], self._travel.held), _PATIENCE[1])
        ready = rested >= _REST and now - self._proven_at >= _PROVEN_REST and self._w < self._cap and self._tested
        if ready and (self._tokens >= 1 or rested >= patience):
            self._mode = Mode.PROBE
            self._growth.begin(now)
            self._due = now
        else:
            self._due = now + LONGEST_STEP

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

    @property
    def _tested(self) -> bool:
        """Whether the window is used, and by what it let in itself: not by what still runs of a larger one."""
        return min(_USED * self.size, self.size - 2) <= self.in_flight <= self.size

    def _braked(self, now: float) -> bool:
        return self._overload.suspends or self._first_contents.slow(now)
