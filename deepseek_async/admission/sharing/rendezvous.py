"""Rendezvous of the processes of an account, and validation of the ``shared`` setting."""

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
    """Place where group members meet: a file, a Redis, or a Ray actor."""

    where: str
    """Name in statistics."""

    process: str
    """Identifier of this process for other members; empty if not needed."""
    answers_later: bool

    @property
    def terms(self) -> GroupTerms:
        """Expiry times of silent members."""

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called once, now or later; with None if the group is unreachable."""

    def leave(self, model: str, member: str) -> None:
        """End a membership. Neither raises nor blocks."""

    async def aclose(self) -> None:
        """Release all resources."""


def shared_from(argument: Any, variable: str | None) -> str:
    """Return ``shared``, else ``DEEPSEEK_ASYNC_SHARED``, else "machine". Raises ConfigurationError."""
    argument, variable = hidden(argument), hidden(variable)
    name, value = ("shared", argument) if argument is not None else ("DEEPSEEK_ASYNC_SHARED", variable or MACHINE)
    if value is False:
        return OFF
    if is_redis(value):
        return checked_redis(name, value)
    if not isinstance(value, str) or value not in {MACHINE, RAY, OFF}:
        # Anything in the form of a URL may contain a password.
        shown = "a string with a colon (not shown)" if isinstance(value, str) and ":" in value else ascii(_bare(value))
        raise ConfigurationError(
            f'{name} must be "machine" (share limits between the processes of this machine), "ray" (of a Ray cluster), '
            f'redis://HOST:6379/0 (of all that use this Redis; also rediss:// and unix://) or "off", got '
            f"{shown}"
        )
    return str(_bare(value))


def _bare(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value
