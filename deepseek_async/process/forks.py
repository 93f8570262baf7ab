"""Fork safety: hooks around ``os.fork`` that keep parent and child from using the same resources.

A child has its parent's memory and none of its threads. It must neither use nor close an SQLite connection of the
parent (sqlite.org, "How To Corrupt An SQLite Database File", 2.6), nor use the parent's event loop: both share the
kernel's epoll set, and a socket that the child removes from it is removed for the parent too.
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
    """Fork hooks of a registered object. The methods must not raise."""

    def before_fork(self) -> None:
        """Reach a consistent state and hold it until the fork is over. The forking thread holds locks taken here."""

    def after_fork_in_parent(self) -> None:
        """Resume."""

    def after_fork_in_child(self) -> None:
        """Restart with new threads and locks, without anything that the parent is about to write or send."""


_registered: WeakSet[AtFork] = WeakSet()
_turn = threading.RLock()
"""Held during a fork: two concurrent forks could deadlock on each other's locks."""
_resting: list[AtFork] = []
_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""Event loops of the parent."""
_left: list[object] = []
"""Resources of the parent that the child's garbage collector must not close."""
_is_child = False


def register(thing: AtFork) -> None:
    """Call the fork hooks of ``thing`` for the lifetime of the object."""
    with _turn:
        _registered.add(thing)


def leave(thing: object) -> None:
    """In a child: keep ``thing`` of the parent alive and untouched until the child exits."""
    _left.append(thing)


def leave_loop(loop: asyncio.AbstractEventLoop) -> None:
    """In a child: refuse to run on ``loop`` of the parent."""
    _loops.add(loop)
    leave(loop)


def leave_socket(transport: asyncio.BaseTransport) -> None:
    """In a child: close its copy of a socket without sending to the peer and without touching the parent's loop.

    The descriptor number is redirected to the null device, so later use of it is harmless.
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
    """Raise ConfigurationError in a child on an event loop of its parent; RuntimeError without a running loop."""
    try:
        inherited = asyncio.get_running_loop() in _loops
    except RuntimeError:
        # asyncio unsets the running loop in a child that was forked from code running on it.
        if not _is_child:
            raise
        inherited = True
    if inherited:
        raise ConfigurationError(
            f"cannot use this event loop in process {os.getpid()}: it belongs to the parent process; start a new loop "
            "after the fork with asyncio.run(main())",
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
    except Exception:  # noqa: BLE001  the remaining hooks must run
        _LOG.exception("fork hook raised; ignored")


if hasattr(os, "register_at_fork"):  # not on every platform
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
