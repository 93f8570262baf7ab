"""The account's window, as its leader has it: what all members have told, replayed into the window that finds limits.

A heartbeat tells numbers and no attempts, so the attempts here are stand-ins: the oldest that is not yet answered is
taken, refused or over first. Durations are right on average that way (Little's law). Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt
from deepseek_async.admission.sharing.heartbeat import Reply

_MEMORY: Final = 100
"""Attempts over which the share of refusals is averaged."""
_MOSTLY: Final = 0.6
"""Of them: where a limit is meant that is not one of attempts at once, nearly all are refused, whatever the window."""
_SILENTLY: Final = (0.05, 0.1)
"""Of them, without numbers: where so many stay refused although the window shrinks, it would shrink to nothing. It
counts as the same time of trouble until less than the first are."""
_STAYS: Final = 200
"""Attempts in such a time after which the number at once is not what they are refused for."""


class AccountLimit:
    """Told of every reply to a heartbeat of the leader. Seconds of any clock that does not go back."""

    __slots__ = ("_before", "_open", "_silently", "_suspect", "_unanswered", "refused", "window")

    def __init__(self, window: AdaptiveLimit, first: Reply, now: float) -> None:
        self.window: Final = window
        self.refused = 0.0
        """The share of attempts that was refused lately."""
        self._silently = 0.0
        self._suspect = 0  # attempts since so many have been refused without numbers
        self._before = first
        self._unanswered: deque[Attempt] = deque()
        self._open: deque[Attempt] = deque()
        # Of those that run already nothing is known, and some of them may have been sent a moment ago.
        for _ in range(first.in_flight):
            self._unanswered.append(window.sent(now))

    @property
    def explains(self) -> bool:
        """Whether being no larger than the window keeps attempts from being refused."""
        return self.refused < _MOSTLY and self._suspect < _STAYS

    def told(self, reply: Reply, now: float) -> None:
        """Take in what has happened since the reply before."""
        before, self._before = self._before, reply
        sent, taken = reply.sent - before.sent, reply.taken - before.taken
        refused, told = reply.refused - before.refused, reply.told - before.told
        window = self.window
        self._believe_taken()
        for _ in range(sent):
            self._unanswered.append(window.sent(now))
        # Refusals among admissions, as they come: in a row they would mean that nothing is taken any more.
        for number in range(refused):
            self._take(taken * (number + 1) // (refused + 1) - taken * number // (refused + 1), now)
            self._refuse(reply if number < told else None, max(before.in_flight, reply.in_flight) + refused, now)
        self._take(taken - taken * refused // (refused + 1), now)
        self._fill(reply.in_flight, now)
        window.may_send(now)  # lets it grow by time

    def _believe_taken(self) -> None:
        """Those that the window took for admitted in the end: most are over without an answer, and none is refused."""
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
        self._count(refused=True, silently=numbers is None)
        if numbers is None:
            self.window.refused(attempt, now, certain=True)
            return
        # How many ran when the server counted is between those that it had taken and all that we know of.
        known = min(numbers.current, max(attempt.beside, most))
        attempt.beside = max(known, len(self._open) + 1)
        self.window.refused(attempt, now, limit=numbers.limit, current=numbers.current, certain=True)

    def _count(self, *, refused: bool, silently: bool = False) -> None:
        self.refused += (refused - self.refused) / _MEMORY
        self._silently += (silently - self._silently) / _MEMORY
        if self._silently >= _SILENTLY[self._suspect == 0]:
            self._suspect += 1
        else:
            self._suspect = 0

    def _fill(self, in_flight: int, now: float) -> None:
        """Let as many be in flight as really are."""
        for _ in range(self.window.in_flight - in_flight):
            attempt = self._open.popleft() if self._open else self._unanswered.popleft()
            self.window.ended(attempt, now)
        for _ in range(in_flight - self.window.in_flight):
            attempt = self.window.sent(now)
            self.window.admitted(attempt, now)
            self._open.append(attempt)
