"""Where the processes of an account meet, and what the user says about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from deepseek_async.admission.sharing.group import GroupTerms
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.configuration.credential import hidden
from deepseek_async.configuration.redis_url import checked_redis, is_redis
from deepseek_async.errors import ConfigurationError

MACHINE: Final = "machine"
RAY: Final = "ray"
OFF: Final = "off"


class Rendezvous(Protocol):
    """Where the members of groups meet: a file, a Redis, a Ray actor."""

    where: str
    """What it is called in statistics."""

    process: str
    """What names this process for the others there; empty for nothing."""
    answers_later: bool

    @property
    def terms(self) -> GroupTerms:
        """How long a silent member counts."""

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called once, now or later; with None if nothing could be reached."""

    def leave(self, model: str, member: str) -> None:
        """End a membership. Raises nothing, and waits for nobody."""

    async def aclose(self) -> None:
        """Give up what is open."""


def shared_from(argument: Any, variable: str | None) -> str:
    """``shared``, else ``DEEPSEEK_ASYNC_SHARED``, else "machine". Raises ConfigurationError."""
    argument, variable = hidden(argument), hidden(variable)
    name, value = ("shared", argument) if argument is not None else ("DEEPSEEK_ASYNC_SHARED", variable or MACHINE)
    if value is False:
        return OFF
    if is_redis(value):
        return checked_redis(name, value)
    if not isinstance(value, str) or value not in {MACHINE, RAY, OFF}:
        # Whatever has the form of a URL may hold a password.
        shown = "a text with a colon" if isinstance(value, str) and ":" in value else ascii(_bare(value))
        raise ConfigurationError(
            f'{name} must be "machine" (limits are shared by the processes of this machine), "ray" (by those of a Ray '
            f'cluster), redis://HOST:6379/0 (by all that reach this Redis; rediss:// and unix:// too) or "off", not '
            f"{shown}"
        )
    return str(_bare(value))


def _bare(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value
