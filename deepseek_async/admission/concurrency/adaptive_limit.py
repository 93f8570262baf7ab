"""Adaptive concurrency limit that is driven by refusals and keeps them rare.

Only a 429 reveals the limit, which changes (with the balance, with the hour) and is shared with other processes. A 429
arrives after one round trip, a completion after seconds or minutes, and an accepted attempt is never evicted. So the
limit reacts to refusals and admissions, treats a refusal as a *measurement*, and never makes deep cuts:

- **startup**: a small lead over what was accepted, until the first refusal (``slow_start.py``).
- **hold**: stay at the measured limit, plus the few slots that are always empty at the server because their
  replacements are in transit (``round_trip.py``). A refusal with numbers in its body states the limit and is trusted
  at once. A refusal without numbers amid admissions may be stray: a second one close to it confirms it.
- **probe**: grow slowly past the known ceiling, faster the longer nothing is refused; end at the first refusal. Each
  refusal caused by growth costs a token, and admissions earn tokens: probing costs 0.3 % of the attempts, with a
  minimum of one probe in 20 to 60 s.
- **drain**: several refusals without an admission between them, or a reported limit of 0: the limit is well below the
  attempts in flight, and further attempts are futile until enough have ended. A single attempt at a time probes. Its
  admission brackets the limit between two numbers, and the search continues between them.

Pure: time and chance are arguments, so the production class also runs in ``benchmarks/simulation``, where the constants
come from. Their order of magnitude matters; the second digit of none of them does.
"""

from __future__ import annotations

import math
from typing import Final

from deepseek_async.admission.concurrency.diagnosis import Advice, Cause
from deepseek_async.admission.concurrency.growth import START
from deepseek_async.admission.concurrency.limit_probe import TAIL, TOGETHER, TOKENS, LimitProbe
from deepseek_async.admission.concurrency_limit import Attempt, ConcurrencyStatistics, Mode

_RESTART: Final = 8
"""Minimum concurrency after an outage; low enough not to overload a recovering server again."""
_EARNED: Final = 0.003


class AdaptiveLimit(LimitProbe):
    """Concurrency limit that adapts to refusals; see the module docstring, and ``ConcurrencyLimit`` for the methods.

    ``size`` is never above ``cap`` and never below 1, except in a drain, where it follows the attempts in flight down
    to 0. ``chance`` returns numbers in [0, 1): randomised rounding keeps processes that share an account from settling
    at unequal shares.
    """

    __slots__ = ()

    def may_send(self, now: float) -> bool:
        """Whether one more attempt may be sent."""
        if now >= self._due:
            self._advance(now)
        overload = self._overload
        if now < overload.due:
            return False
        if overload.active:
            self._follow_advice(overload.look(now), now)
        return self.in_flight < self.size and now >= overload.due

    def next_change(self, now: float) -> float | None:
        """Return when to ask again if nothing ends before; None if time changes nothing."""
        if self.in_flight < self.size:
            return max(now, self._overload.due)
        self._hasten(now)
        return self._due if self._due < math.inf else None

    def sent(self, now: float) -> Attempt:
        """Record an attempt as in flight."""
        self.in_flight = beside = self.in_flight + 1
        self._number = number = self._number + 1
        attempt = Attempt(now, number, beside)
        waiting = self._unanswered
        waiting.append(attempt)
        # Each attempt is appended and removed once, so the amortised cost does not depend on the number in flight.
        while (first := waiting[0]).answered or not first.open or now - first.sent_at > self._travel.grace:
            if first.open and not first.answered:
                self._presume(first, now)
            waiting.popleft()
        if self._overload.active:
            self._follow_advice(self._overload.sent(number, beside - 1, now, full=beside >= self.size), now)
        if self._draining:
            self._drain.sent(attempt, answer_by=now + self._travel.grace)
            self._due = self._drain.due
        return attempt

    def admitted(self, attempt: Attempt, now: float) -> None:
        """Record that the server accepted the attempt."""
        if attempt.answered or not attempt.open:
            return
        attempt.answered = True
        self._admissions += 1
        self._last_taken = attempt
        if self._tokens < TOKENS[1]:
            self._tokens += _EARNED
        if self._alert and attempt.number > self._reacted:
            if self._draining:
                self._leave_drain(attempt, now)
            else:
                self._taken(attempt, now)
        if self._overload.active:
            self._follow_advice(self._overload.taken(attempt, now), now)

    def first_content(self, attempt: Attempt, now: float) -> None:
        """Record the first token."""
        self._first_contents.came_after(now - attempt.sent_at, now)

    def taken(self, now: float) -> int:
        """Return the number of attempts accepted so far, without those that failed later."""
        before = now - self._overload.surprise.patience
        presumed = sum(one.open and not one.answered and one.sent_at <= before for one in self._unanswered)
        return self._admissions - self._lost + presumed

    @property
    def failing(self) -> float:
        """Recent failure rate."""
        return self._overload.surprise.failing

    def ended(self, attempt: Attempt, now: float, *, failed: bool = False, overload: bool = False) -> None:
        """Record any ending other than a refusal."""
        if not attempt.open:
            return
        attempt.open = False
        self.in_flight -= 1
        if attempt.answered:
            self._travel.ended_after(now - attempt.sent_at)
        if failed:
            self._lost += attempt.answered
        if overload:
            self._travel.heard()
            self._turned_away(attempt, now, said=False)
        if self._draining:
            self._follow(attempt, now)

    def refused(
        self,
        attempt: Attempt,
        now: float,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
        certain: bool = False,
    ) -> None:
        """Record a 429, with the numbers of its body if it had any.

        ``certain``: the refusal is known to be for concurrency, so its cause is not investigated.
        """
        if not attempt.open:
            return
        attempt.open = False
        self.in_flight -= 1
        self._refusals += 1
        self._named.balance_bound = balance_bound
        if attempt.answered:
            self._start.misled()
        if not attempt.answered or now - attempt.sent_at <= self._travel.grace:
            self._travel.refused_after(now - attempt.sent_at)
        self._travel.measure_flow(now)
        since = self._admitted_since()
        lead = self.is_lead(attempt)
        tail = self._count_in_a_row(attempt, lead=lead)
        fresh = attempt.number > self._reacted
        if fresh:
            self._charged = self._mode is not Mode.HOLD
        if self._charged:
            self._tokens = max(TOKENS[0], self._tokens - 1)

        beside = attempt.beside
        known = self._start.proven if lead else int(beside - self._travel.on_the_way(beside))
        others = self._named.others(limit, current, beside, now, known=known)
        if others is not None and limit is not None:
            self._told += 1
            self._react_to_numbers(attempt, now, limit - others, others, fresh=fresh)
        elif self._mode is Mode.DRAIN:
            self._follow(attempt, now, refused=True)
        elif certain or self._turned_away(attempt, now, said=lead or tail or self._w > START, fresh=fresh):
            self._react_to_silence(now, since, fresh=fresh)

    def _admitted_since(self) -> int:
        """Admissions since the last refusal."""
        since, self._admissions_then = self._admissions - self._admissions_then, self._admissions
        return since

    def _count_in_a_row(self, attempt: Attempt, *, lead: bool) -> bool:
        """Whether it was sent in one burst with an accepted attempt, and so is the tail of that burst."""
        last = self._last_taken
        if last is not self._row_after:
            self._row_after, self._in_a_row = last, 0
        together = max(TOGETHER, self._travel.round_trip / 4)
        tail = last is not None and last.number < attempt.number and attempt.sent_at <= last.sent_at + together
        if not lead:
            self._in_a_row += min(1.0, TAIL / max(1, self.in_flight)) if tail else 1.0
        return tail

    def _turned_away(self, attempt: Attempt, now: float, *, said: bool, fresh: bool = True) -> bool:
        overload = self._overload
        if not (overload.troubled or overload.cause is Cause.WIDTH):
            self._before = self._w
        advice = overload.turned_away(
            attempt,
            now,
            decided=self._decided(now),
            last=self._number,
            beside=self.in_flight,
            said=said,
            fresh=fresh,
        )
        if advice is Advice.REACT:
            if not said:
                since = self._admitted_since()
                self._count_in_a_row(attempt, lead=False)
                self._react_to_silence(now, since, fresh=attempt.number > self._reacted)
            return True
        self._follow_advice(advice, now)
        return False

    def _decided(self, now: float) -> int:
        """Return the last attempt that was sent long enough ago for a refusal to have arrived."""
        before = now - self._overload.surprise.patience
        for attempt in self._unanswered:
            if attempt.sent_at > before:
                return attempt.number - 1
        return self._number

    def _follow_advice(self, advice: Advice, now: float) -> None:
        if advice is Advice.LIFT:
            self._begin_epoch(Mode.STARTUP, now)
            self._resize(self._before)
            self._start.again(self._w, paced=True)
            self._growth.ceiling = None
            self._growth.begin(now)
            self._due = now
        elif advice is Advice.NARROW:
            self._hold(min(self._w, self._overload.width), now)
        elif advice is Advice.PROBE:
            self._enter(Mode.PROBE)
            self._growth.begin(now)
            self._due = now
        elif advice is Advice.RESTART:
            self.restart(now)

    def throttled(self, attempt: Attempt, now: float, until: float) -> None:
        """Record a 429 for the request rate; nothing may be sent before ``until``."""
        if attempt.open:
            attempt.open = False
            self.in_flight -= 1
            self._overload.throttled(attempt.number, self._number, now, until)
            if self._mode is Mode.DRAIN:
                self._follow(attempt, now)

    def restart(self, now: float) -> None:
        """Restart after an outage at a tenth of the last working size."""
        worked = self._before if self._growth.ceiling is None else min(self._before, self._growth.ceiling)
        self._overload.restart()
        self._begin_epoch(Mode.STARTUP, now)
        self._resize(min(worked, max(_RESTART, 0.1 * worked)))
        self._start.again(self._w)
        self._growth.ceiling = None
        self._growth.begin(now)
        self._due = now

    def adopt(self, size: float, now: float, *, ceiling: float | None) -> None:
        """Adopt a size that other processes found; ``ceiling`` is where they were refused, None if nowhere yet."""
        if ceiling is None:
            self._begin_epoch(Mode.STARTUP, now)
            self._resize(size)
            self._start.again(self._w)
            self._growth.begin(now)
            self._due = now
        else:
            self._hold(size, now)
        self._growth.ceiling = ceiling

    def is_lead(self, attempt: Attempt) -> bool:
        """Whether the attempt went beyond what a start had proven, so that its refusal only locates the limit."""
        return self._start.explains(attempt, starting=self._mode is Mode.STARTUP)

    def extend_lead(self) -> None:
        """Count all attempts sent so far as part of the start that has ended."""
        self._start.last = self._number

    @property
    def is_starting(self) -> bool:
        """Whether the limit has not been reached yet."""
        return self._mode is Mode.STARTUP

    @property
    def known_ceiling(self) -> float | None:
        """Size at which the server last refused."""
        return self._growth.ceiling

    @property
    def is_troubled(self) -> bool:
        """Whether refusals have a cause other than concurrency, or the cause is under investigation."""
        return self._overload.active or self._overload.cause is Cause.WIDTH

    def connected(self, seconds: float) -> None:
        """Record a network round-trip time, which bounds how soon a refusal can arrive."""
        self._travel.connected(seconds)

    def statistics(self, now: float) -> ConcurrencyStatistics:
        """Return the current state."""
        return ConcurrencyStatistics(
            size=self.size,
            in_flight=self.in_flight,
            mode=self._mode,
            ceiling=None if self._growth.ceiling is None else int(self._growth.ceiling),
            believed_limit=self._named.account,
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
