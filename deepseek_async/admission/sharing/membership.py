"""A process's membership of the group of one account and model: heartbeats on a timer, and what comes of them."""

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
"""Seconds between two heartbeats; half a lease of the file's at most."""
_SOON: Final = 0.05
"""Seconds between two heartbeats while shares move, or somebody waits for one."""

_FIRST: Final = 1.0
"""Seconds for which one that comes new waits for a group."""


_members: set[weakref.ref[Membership]] = set()
"""Of all event loops of this process; a plain set, because it is looked through while other threads change it."""


class Membership:
    """From the first attempt of a model until its client is closed. Bound to the running event loop."""

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
        # Whoever drops a client, or ends, without having closed it keeps no places from others. What a member of
        # another machine is told may need threads, and is not for the garbage collector.
        self._left = weakref.finalize(self, _leave, meeting, model, self._member, os.getpid())
        if meeting.answers_later:
            self._left.detach()
        window.on_need = self._hasten
        if meeting.answers_later:
            # Until it has answered, one attempt may run.
            window.expect_group()
        self._beat()

    @property
    def where(self) -> str | None:
        """Where the members meet; None while no group can be reached."""
        return self._meeting.where if self._window.is_heard else None

    def close(self) -> None:
        """Leave the group. A call that still comes is not bound by a share that nobody renews."""
        self._leave()
        now = self._loop.time()
        self._window.go_alone(now)
        self._slots.moved(now)

    def leave_with_loop(self) -> None:
        """Leave the group if the event loop was closed, and the client was not."""
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
        except Exception:  # noqa: BLE001  calls go on, whatever is wrong with a group
            if not self._is_broken:
                self._is_broken = True
                _LOG.exception("a heartbeat to the processes that share limits failed")
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
            # The lease began when the group heard of us, which was after we asked.
            window.follow(reply, now, sure_until=self._asked_at + self._lease)
            busy = window.in_flight or self._slots.waiting
            self._schedule(now + (_SOON if reply.moving else _BUSY if busy else _IDLE))
        self._slots.moved(now)

    @property
    def _lost_at(self) -> float:
        """When no answer will have come for so long that there is no group."""
        return self._answered_at + (self._lease if self._window.has_heard else min(self._lease, _FIRST))

    def _go_alone(self) -> None:
        """No answer has come for a lease."""
        self._timer = None
        now = self._loop.time()
        self._window.go_alone(now)
        self._slots.moved(now)

    def _hasten(self) -> None:
        """The window needs to hear from the group."""
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
    # A child that was forked has a copy of the parent's membership, and none of its own in it.
    if os.getpid() == process:
        meeting.leave(model, member)


def _nobody() -> None:
    """Nobody is to be told."""
