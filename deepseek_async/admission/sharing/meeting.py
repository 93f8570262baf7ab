"""Where the processes of an account meet, and what the user says about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from deepseek_async.admission.sharing.group import Terms
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.errors import ConfigurationError

MACHINE: Final = "machine"
RAY: Final = "ray"
OFF: Final = "off"


class Meeting(Protocol):
    """Where the members of groups meet: a file, a Redis, a Ray actor."""

    where: str
    """What it is called in statistics."""

    process: str
    """What names this process for the others there; empty for nothing."""
    answers_later: bool

    @property
    def terms(self) -> Terms:
        """How long a silent member counts."""

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called once, now or later; with None if nothing could be reached."""

    def leave(self, model: str, member: str) -> None:
        """End a membership. Raises nothing, and waits for nobody."""

    async def aclose(self) -> None:
        """Give up what is open."""


def shared_from(argument: Any, variable: str | None) -> str:
    """``shared``, else ``DEEPSEEK_ASYNC_SHARED``, else "machine". Raises ConfigurationError."""
    name, value = ("shared", argument) if argument is not None else ("DEEPSEEK_ASYNC_SHARED", variable or MACHINE)
    if value is False:
        return OFF
    if value not in {MACHINE, RAY, OFF}:
        raise ConfigurationError(
            f'{name} must be "machine" (limits are shared by the processes of this machine), "ray" (by those of a Ray '
            f'cluster) or "off", not {value!r}'
        )
    return str(value)
