"""Account limit of the leader: reports of all members, replayed into the adaptive limit.

Heartbeats contain counters, not attempts, so the attempts here are stand-ins: the oldest one without a response is the
first to be accepted, refused or ended. Durations are then correct on average (Little's law). Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt
from deepseek_async.admission.sharing.heartbeat import Reply

_MEMORY: Final = 100
"""Attempts over which the refusal rate is averaged."""
_MOSTLY: Final = 0.6
"""Refusal rate that indicates another kind of limit: it refuses nearly everything, whatever the concurrency."""
_SILENTLY: Final = (0.05, 0.1)
"""Refusal rates without numbers: above the second, although the limit shrinks, it would shrink to nothing. The
episode continues until the rate falls below the first."""
_UNTOLD: Final = 2
"""Replies after the end of a start that report attempts which members sent before they heard of it."""
_STAYS: Final = 200
"""Attempts in one episode after which concurrency is ruled out as the cause."""


class AccountLimit:
    """Receives each heartbeat reply of the leader. Times are seconds of a monotonic clock."""

    __slots__ = ("_before", "_open", "_silently", "_suspect", "_unanswered", "_untold", "refused", "window")

    def __init__(self, window: AdaptiveLimit, first: Reply, now: float) -> None:
        self.window: Final = window
        self.refused = 0.0
        """Recent refusal rate."""
        self._silently = 0.0
        self._suspect = 0  # attempts in the episode of refusals without numbers
        self._before = first
        self._untold = 0
        self._unanswered: deque[Attempt] = deque()
        self._open: deque[Attempt] = deque()
        # The state of attempts already in flight is unknown; some may have been sent a moment ago.
        for _ in range(first.in_flight):
            self._unanswered.append(window.sent(now))

    @property
    def explains(self) -> bool:
        """Whether the limit explains the refusals, that is, staying below it avoids them."""
        return self.refused < _MOSTLY and self._suspect < _STAYS

    def told(self, reply: Reply, now: float) -> None:
        """Replay what has happened since the previous reply."""
        before, self._before = self._before, reply
        sent, taken = reply.sent - before.sent, reply.taken - before.taken
        refused, told = reply.refused - before.refused, reply.told - before.told
        window = self.window
        self._believe_taken()
        for _ in range(sent):
            self._unanswered.append(window.sent(now))
        starting = window.is_starting
        if self._untold:
            self._untold -= 1
            window.extend_lead()
        # Interleaved with admissions: refusals in a row would mean that nothing is accepted any more.
        for number in range(refused):
            self._take(taken * (number + 1) // (refused + 1) - taken * number // (refused + 1), now)
            self._refuse(reply if number < told else None, max(before.in_flight, reply.in_flight) + refused, now)
        self._take(taken - taken * refused // (refused + 1), now)
        self._fill(reply.in_flight, now)
        if starting and not window.is_starting:
            self._untold = _UNTOLD
        window.may_send(now)  # applies growth by time

    def _believe_taken(self) -> None:
        """Mark attempts that the limit presumed accepted: most end without an answer, and none of them is refused."""
        unanswered = self._unanswered
        while unanswered and unanswered[0].answered:
            self._open.append(unanswered.popleft())

    def _take(self, count: int, now: float) -> None:
        for _ in range(min(count, len(self._unanswered))):
            attempt = self._unanswered.popleft()
            self.window.admitted(attempt, now)
            self._open.append(attempt)
            self._count(refused=False)

    def _refuse(self, numbers: Reply | None, most: int, now: float) -> None:
        if not self._unanswered:
            self._unanswered.append(self.window.sent(now))
        attempt = self._unanswered.popleft()
        if not self.window.is_lead(attempt):
            self._count(refused=True, silently=numbers is None)
        if numbers is None:
            self.window.refused(attempt, now, certain=True)
            return
        # The server's count lies between the attempts it had accepted and all that are known.
        known = min(numbers.current, max(attempt.beside, most))
        attempt.beside = max(known, len(self._open) + 1)
        window = self.window
        bound = max(window.size - 1, numbers.limit)
        window.refused(attempt, now, limit=numbers.limit, current=numbers.current, certain=True)
        if window.size > bound:
            # The stand-in may be far older than the attempt was, and its age no time that a refusal takes to arrive.
            window.adopt(bound, now, ceiling=bound)

    def _count(self, *, refused: bool, silently: bool = False) -> None:
        self.refused += (refused - self.refused) / _MEMORY
        self._silently += (silently - self._silently) / _MEMORY
        if self._silently >= _SILENTLY[self._suspect == 0]:
            self._suspect += 1
        else:
            self._suspect = 0

    def _fill(self, in_flight: int, now: float) -> None:
        """Match the number of attempts in flight to the reported one."""
        for _ in range(self.window.in_flight - in_flight):
            attempt = self._open.popleft() if self._open else self._unanswered.popleft()
            self.window.ended(attempt, now)
        for _ in range(in_flight - self.window.in_flight):
            attempt = self.window.sent(now)
            self.window.admitted(attempt, now)
            self._open.append(attempt)
