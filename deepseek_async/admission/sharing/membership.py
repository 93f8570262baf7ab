"""Membership of a process in the group of one account and model: periodic heartbeats and their effects."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import weakref
from typing import Final

from deepseek_async.admission.sharing.heartbeat import Reply
from deepseek_async.admission.sharing.rendezvous import Rendezvous
from deepseek_async.admission.sharing.shared_limit import SharedLimit
from deepseek_async.admission.wait_queue import WaitQueue

_LOG: Final = logging.getLogger("deepseek_async")

_BUSY: Final = 0.25
_IDLE: Final = 0.5
"""Seconds between two heartbeats; at most half a lease of the file group."""
_SOON: Final = 0.05
"""Seconds between two heartbeats while shares move or calls wait for one."""

_FIRST: Final = 1.0
"""Seconds that a new member waits for a group."""


_members: set[weakref.ref[Membership]] = set()
"""Members on all event loops of this process; a plain set, because it is iterated while other threads change it."""


class Membership:
    """Lasts from the first attempt of a model until its client is closed. Bound to the running event loop."""

    def __init__(self, meeting: Rendezvous, model: str, window: SharedLimit, slots: WaitQueue) -> None:
        self._meeting = meeting
        self._model = model
        self._window = window
        self._slots = slots
        self._member: Final = secrets.token_hex(8)
        self._pid: Final = os.getpid()
        self._lease: Final = meeting.terms.lease / 1000
        self._loop: Final = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._asked_at = -_SOON
        self._asking = False
        self._number = 0
        self._answered_at = self._loop.time()
        self._closed = self._is_broken = False
        for reference in list(_members):
            if (other := reference()) is not None:
                other.leave_with_loop()
        _members.add(weakref.ref(self, _members.discard))
        # An unclosed client must not keep slots from other members. Only local rendezvous: leaving a remote one may
        # need threads, which a garbage collector callback must not use.
        self._left = weakref.finalize(self, _leave, meeting, model, self._member, os.getpid())
        if meeting.answers_later:
            self._left.detach()
        window.on_need = self._hasten
        if meeting.answers_later:
            # One attempt may run until the group has answered.
            window.expect_group()
        self._beat()

    @property
    def where(self) -> str | None:
        """Kind of rendezvous; None while no group is reachable."""
        return self._meeting.where if self._window.is_heard else None

    def close(self) -> None:
        """Leave the group. Later calls are not bound by a share that is no longer renewed."""
        self._leave()
        now = self._loop.time()
        self._window.go_alone(now)
        self._slots.moved(now)

    def leave_with_loop(self) -> None:
        """Leave the group if the event loop was closed without closing the client."""
        if self._loop.is_closed() and not self._closed:
            self._leave()

    def _leave(self) -> None:
        self._closed = True
        self._window.on_need = _nobody
        self._stop_timer()
        self._left.detach()
        if not (self._meeting.answers_later and self._loop.is_closed()):
            _leave(self._meeting, self._model, self._member, self._pid)

    def _beat(self) -> None:
        self._timer = None
        self._asking = True
        self._asked_at = self._loop.time()
        try:
            self._ask()
        except Exception:  # noqa: BLE001  no group error may fail a call
            if not self._is_broken:
                self._is_broken = True
                _LOG.exception("heartbeat for shared limits raised; ignored")
            self._answer(None)
        if self._asking and not self._closed:
            self._timer = self._loop.call_at(max(self._asked_at, self._lost_at), self._go_alone)

    def _ask(self) -> None:
        slots, window = self._slots, self._window
        people = slots.running_interactive + slots.waiting_interactive
        bulk = window.in_flight - slots.running_interactive + slots.waiting_bulk
        self._number += 1
        beat = window.report(
            self._member,
            self._meeting.process,
            people=people,
            bulk=max(0, bulk),
            number=self._number,
            later=self._meeting.answers_later,
        )
        self._meeting.exchange(self._model, beat, self._answer)

    def _answer(self, reply: Reply | None) -> None:
        self._asking = False
        if self._closed:
            return
        self._stop_timer()
        now = self._loop.time()
        window = self._window
        if reply is None:
            lost = now >= self._lost_at
            self._schedule(now + (_IDLE if lost else _SOON))
            if lost:
                window.go_alone(now)
        else:
            self._answered_at = now
            # The lease started when the group received the heartbeat, which was after sending.
            window.follow(reply, now, sure_until=self._asked_at + self._lease)
            busy = window.in_flight or self._slots.waiting
            self._schedule(now + (_SOON if reply.moving else _BUSY if busy else _IDLE))
        self._slots.moved(now)

    @property
    def _lost_at(self) -> float:
        """Return the time at which the group counts as lost without a reply."""
        return self._answered_at + (self._lease if self._window.has_heard else min(self._lease, _FIRST))

    def _go_alone(self) -> None:
        """Continue alone: no reply within a lease."""
        self._timer = None
        now = self._loop.time()
        self._window.go_alone(now)
        self._slots.moved(now)

    def _hasten(self) -> None:
        """Send the next heartbeat soon."""
        if not self._asking and not self._closed:
            self._schedule(max(self._loop.time(), self._asked_at + _SOON))

    def _schedule(self, due: float) -> None:
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._beat)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _leave(meeting: Rendezvous, model: str, member: str, process: int) -> None:
    # A forked child has a copy of the parent's membership without any attempts of its own.
    if os.getpid() == process:
        meeting.leave(model, member)


def _nobody() -> None:
    """Default callback without effect."""
