"""A process's membership of the group of one account and model: heartbeats on a timer, and what comes of them."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from deepseek_async.admission.sharing.heartbeat import Reply
from deepseek_async.admission.sharing.meeting import Meeting
from deepseek_async.admission.sharing.shared_window import SharedWindow
from deepseek_async.admission.slots import Slots

_BUSY: Final = 0.25
_IDLE: Final = 0.5
"""Seconds between two heartbeats; half a lease of the file's at most."""
_SOON: Final = 0.05
"""Seconds between two heartbeats while shares move, or somebody waits for one."""

_FIRST: Final = 1.0
"""Seconds for which one that comes new waits for a group."""


class Membership:
    """From the first attempt of a model until its client is closed. Bound to the running event loop."""

    def __init__(self, meeting: Meeting, model: str, window: SharedWindow, slots: Slots) -> None:
        self._meeting = meeting
        self._model = model
        self._window = window
        self._slots = slots
        self._member: Final = secrets.token_hex(8)
        self._loop: Final = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._asked_at = -_SOON
        self._asking = False
        self._number = 0
        self._answered_at = self._loop.time()
        self._closed = False
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
        """Leave the group."""
        self._closed = True
        self._window.on_need = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._meeting.leave(self._model, self._member)

    def _beat(self) -> None:
        self._timer = None
        self._asking = True
        self._asked_at = self._loop.time()
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
        now = self._loop.time()
        window = self._window
        lease = self._meeting.terms.lease / 1000
        if reply is None:
            if now - self._answered_at >= (lease if window.has_heard else min(lease, _FIRST)):
                window.go_alone(now)
            self._schedule(now + (_SOON if window.is_grouped else _IDLE))
        else:
            self._answered_at = now
            # The lease began when the group heard of us, which was after we asked.
            window.follow(reply, now, sure_until=self._asked_at + lease)
            busy = window.in_flight or self._slots.waiting
            self._schedule(now + (_SOON if reply.moving else _BUSY if busy else _IDLE))
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


def _nobody() -> None:
    """Nobody is to be told."""
