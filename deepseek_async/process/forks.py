"""What is to be done around ``os.fork``, so that the parent and its child never use the same thing.

A child has the memory of its parent and none of its threads. It must not use, nor close, an SQLite connection of the
parent's (sqlite.org, "How To Corrupt An SQLite Database File", 2.6), nor an event loop: the kernel's list of what the
loop waits for stays the parent's, and taking a socket off it in the child takes it off for the parent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from deepseek_async.errors import ConfigurationError

_LOG: Final = logging.getLogger("deepseek_async")


class AtFork:
    """Something that is told when the process forks, once it is registered. The methods must not raise."""

    def before_fork(self) -> None:
        """Come to rest, and stay so until the fork is over. Locks taken here are held by the thread that forks."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew: with own threads and locks, and without what the parent is going to write or send."""


_registered: WeakSet[AtFork] = WeakSet()
_turn = threading.RLock()
"""Held during a fork: two at a time could each hold a lock that the other waits for."""
_resting: list[AtFork] = []
_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""Loops of the parent."""
_left: list[object] = []
"""What belongs to the parent and must not be closed by the garbage collector of the child."""
_is_child = False


def register(thing: AtFork) -> None:
    """Tell ``thing`` of forks for as long as it lives."""
    with _turn:
        _registered.add(thing)


def leave(thing: object) -> None:
    """In a child: keep ``thing``, which is the parent's, as it is until the child ends."""
    _left.append(thing)


def leave_loop(loop: asyncio.AbstractEventLoop) -> None:
    """In a child: nothing may run on ``loop`` here."""
    _loops.add(loop)
    leave(loop)


def leave_socket(transport: asyncio.BaseTransport) -> None:
    """In a child: give up its copy of a socket, without a word to the peer or to the loop, which are the parent's.

    The number stays taken, by the null device: whoever still has it can do no harm with it.
    """
    held = transport.get_extra_info("socket")
    leave(transport)
    with suppress(OSError, AttributeError):
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            if (number := held.fileno()) >= 0:
                os.dup2(null, number, inheritable=False)
        finally:
            os.close(null)


def refuse_inherited_loop() -> None:
    """Raise ConfigurationError in a child that runs on an event loop of its parent; RuntimeError without a loop."""
    try:
        inherited = asyncio.get_running_loop() in _loops
    except RuntimeError:
        # asyncio itself takes the loop away from a child that was forked by code that runs on it.
        if not _is_child:
            raise
        inherited = True
    if inherited:
        raise ConfigurationError(
            f"process {os.getpid()} was forked from one whose event loop cannot be used here; run the calls of this "
            "process on a loop of its own: asyncio.run(main())",
        )


def _before() -> None:
    _turn.acquire()
    _resting[:] = list(_registered)
    for thing in _resting:
        _tell(thing.before_fork)


def _after_in_parent() -> None:
    for thing in reversed(_resting):
        _tell(thing.after_fork_in_parent)
    _resting.clear()
    _turn.release()


def _after_in_child() -> None:
    global _turn, _is_child
    _turn, _is_child = threading.RLock(), True
    _resting.clear()
    for thing in list(_registered):
        _tell(thing.after_fork_in_child)


def _tell(hook: Callable[[], None]) -> None:
    try:
        hook()
    except Exception:  # noqa: BLE001  the others are told all the same
        _LOG.exception("a fork was not prepared for")


if hasattr(os, "register_at_fork"):  # not on every platform
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
