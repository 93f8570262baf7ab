"""Timeouts of a call: how long each of its waits may last."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from deepseek_async.errors import ConfigurationError


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Timeouts of a call, in seconds.

    Raises ConfigurationError, naming the field, unless every value is above 0.
    """

    connect: float = 10.0
    """Name resolution, TCP and TLS handshakes, and the proxy tunnel."""
    headers: float = 120.0
    """From sending to the response head; the API takes 0.3 to 0.5 s even when it queues the request."""
    first_content: float = 620.0
    """From sending to the first content; the API aborts after 600 s (DeepSeek docs, Rate Limit)."""
    idle: float = 120.0
    """Without any byte; keep-alives were observed about every 13 s."""
    stall: float = 120.0
    """After the first content, without further content; keep-alives do not count."""
    attempt: float = 1800.0
    """A single attempt; the longest thinking answers measured took about ten minutes."""
    total: float | None = None
    """The whole call with queueing, back-off and all attempts; None for no limit."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise ConfigurationError(f"timeout.{name} must be a number of seconds, got {value!r}")
            if value is not None and not value > 0:
                raise ConfigurationError(f"timeout.{name} must be above 0 seconds, got {value!r}")
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            # A default that exceeds a shorter attempt timeout is no conflict: it never expires.
            if value > self.attempt and value != default:
                raise ConfigurationError(
                    f"timeout.{name} must be at most timeout.attempt ({self.attempt} s), got {value} s",
                )

    @cached_property
    def shortest(self) -> float:
        """Return the shortest timeout of an attempt."""
        return min(self.headers, self.first_content, self.idle, self.stall, self.attempt)

    def of_attempts(self, seconds: float, *, idle: float | None = None) -> Timeouts:
        """Internal: return these with ``seconds`` per attempt and ``idle`` without a byte; a total is kept."""
        silence = seconds if idle is None else idle
        return msgspec.structs.replace(
            self,
            connect=min(self.connect, silence),
            headers=silence,
            first_content=seconds,
            idle=silence,
            stall=silence,
            attempt=seconds,
        )


@runtime_checkable
class HTTPXTimeout(Protocol):
    """``httpx.Timeout`` or ``httpx2.Timeout``, recognized without importing either."""

    connect: float | None
    read: float | None
    write: float | None
    pool: float | None


def as_timeouts(timeout: Any, default: Timeouts) -> Timeouts | None:
    """Return a Timeouts, or an httpx Timeout in its terms, over ``default``; None for anything else.

    ``read`` is the longest time without a byte, before the response (``headers``) and within it (``idle``). ``write``
    and ``pool`` have no equal: a request is small, and waiting for a place in the queue is limited by ``total`` only.
    """
    if isinstance(timeout, Timeouts):
        return timeout
    if not isinstance(timeout, HTTPXTimeout):
        return None
    read, connect = timeout.read, timeout.connect
    attempt = max(default.attempt, read or 0.0, connect or 0.0)
    return msgspec.structs.replace(
        default,
        attempt=attempt,
        connect=attempt if connect is None else connect,
        headers=attempt if read is None else read,
        idle=attempt if read is None else read,
    )


_DEFAULTS: Final = {"connect": 10.0, "headers": 120.0, "first_content": 620.0, "idle": 120.0, "stall": 120.0}
