"""Processes that share the account's window through a group, as those of one machine do, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from benchmarks.simulation.account import Window
from benchmarks.simulation.contestants import CAP
from deepseek_async.admission.concurrency_limit import Attempt
from deepseek_async.admission.sharing.group import Group, GroupTerms, step
from deepseek_async.admission.sharing.shared_limit import SharedLimit

TERMS: Final = GroupTerms(lease=1000, gone=2000)
_BUSY, _SOON = 0.25, 0.05
_MISSED: Final = 600
_LOOK_AHEAD: Final = 32


class Member:
    """A window and its heartbeats, which come with the looks at the clock that the model takes."""

    def __init__(self, processes: Sharing, name: str, now: float, chance: Callable[[], float]) -> None:
        self._processes = processes
        self.name = name
        self._window = SharedLimit(cap=CAP, most=CAP, chance=chance, now=now)
        self._window.on_need = self._hasten
        self._now = self._due = now
        self._asked = now - _SOON
        self.people: int | None = None
        """Calls that wait; None for bulk without end."""

    @property
    def in_flight(self) -> int:
        return self._window.in_flight

    @property
    def size(self) -> int:
        return self._window.size

    def may_send(self, now: float) -> bool:
        self._beat(now)
        return self._window.may_send(now)

    def next_change(self, now: float) -> float | None:
        due = self._window.next_change(now)
        return self._due if due is None else min(due, self._due)

    def sent(self, now: float) -> Attempt:
        return self._window.sent(now)

    def admitted(self, attempt: Attempt, now: float) -> None:
        self._now = now
        self._window.admitted(attempt, now)

    def refused(self, attempt: Attempt, now: float, **numbers: Any) -> None:
        self._now = now
        self._window.refused(attempt, now, **numbers)

    def ended(self, attempt: Attempt, now: float) -> None:
        self._now = now
        self._window.ended(attempt, now)

    def _hasten(self) -> None:
        self._due = min(self._due, max(self._now, self._asked + _SOON))

    def _beat(self, now: float) -> None:
        self._now = now
        if now < self._due:
            return
        self._asked = now
        in_flight = self._window.in_flight
        people, bulk = (0, in_flight + _LOOK_AHEAD) if self.people is None else (in_flight + self.people, 0)
        reply = self._processes.exchange(self._window.report(self.name, "", people=people, bulk=bulk), now)
        self._due = now + (_SOON if reply.moving else _BUSY)
        self._window.follow(reply, now, sure_until=now + TERMS.lease / 1000)


class Sharing:
    """All processes of one account on one machine."""

    def __init__(self, members: int, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._group = Group()
        self._names = 0
        self.windows: list[Window] = [self._member(0.0) for _ in range(members)]

    def exchange(self, beat: Any, now: float) -> Any:
        """One heartbeat. Of a silent member the machine can tell whether it was killed or stands still."""
        at, there = int(1000 * now) + 1, {one.name for one in self.windows if isinstance(one, Member)}
        silent = {name: name in there for name, one in self._group.members.items() if at - one.seen >= _MISSED}
        return step(self._group, beat, at, TERMS, silent)

    def waiting(self, member: int, calls: int, now: float) -> None:
        """People wait."""
        del now
        window = self.windows[member]
        assert isinstance(window, Member)
        window.people = calls

    def restart(self, member: int, now: float) -> None:
        """A process that is new to the group."""
        self.windows[member] = self._member(now)

    def _member(self, now: float) -> Member:
        self._names += 1
        return Member(self, f"m{self._names}", now, self._chance)
