"""Answers that outlive a page: a reader that comes back gets the rest, from this process or through Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.web.dialects import dialect_named
from deepseek_async.integrations.web.ending import AtEnd
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.live_answer import AnswerReader, LiveAnswer
from deepseek_async.integrations.web.redis_mirror import RedisMirror, RemoteReader
from deepseek_async.integrations.web.source import Source
from deepseek_async.integrations.web.sse import is_answer_id
from deepseek_async.process.closing import AsyncClosedOnExit

_BYTES: Final = 18
"""Of chance in an id: 144 bits cannot be guessed."""
_MOST_EVENTS: Final = 10**12


def new_id() -> str:
    """Return an id of 24 characters."""
    return secrets.token_urlsafe(_BYTES)


class ResumableAnswers(AsyncClosedOnExit):
    """Keeps the events of answers while they run and for a while after. Bound to the event loop that first uses it.

    Close it with ``async with`` or ``aclose()``, at the end of the service. Whoever has the id of an answer may read
    and stop it: give it to its own reader only.
    """

    def __init__(
        self,
        redis: str | None = None,
        *,
        grace: float = 20.0,
        keep: float = 300.0,
        max_answer_bytes: int = 4 * 1024 * 1024,
        max_bytes: int = 256 * 1024 * 1024,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        """Make a buffer for this process, or for all processes that share one ``redis``.

        - ``redis``: URL; needed when a reload may reach another process than the one that relays (several workers).
        - ``grace``: seconds for which an answer without readers runs on. It is billed meanwhile.
        - ``keep``: seconds for which the events of an answer that has ended are kept.
        - ``max_answer_bytes``: bytes kept of one answer; of a longer one the oldest events are dropped, and a reader
          that needs them is told that the answer was interrupted.
        - ``max_bytes``: bytes kept of all answers of this process; ended ones are dropped first, the oldest first.

        Raises ConfigurationError for a wrong URL, number of seconds or size, or without the redis package.
        """
        for name, value in (("grace", grace), ("keep", keep)):
            if not 0 < value <= 86_400:
                raise ConfigurationError(f"{name} must be seconds above 0 and up to 86,400, got {value!r}")
        if not 1024 <= max_answer_bytes <= max_bytes:
            raise ConfigurationError(
                f"max_answer_bytes must be from 1,024 to max_bytes ({max_bytes:,}), got {max_answer_bytes:,}"
            )
        self._grace = grace
        self._keep = keep
        self._max_answer_bytes = max_answer_bytes
        self._max_bytes = max_bytes
        self._new_id = new_id
        self._mirror = None if redis is None else RedisMirror(redis, grace=grace, keep=keep)
        self._answers: dict[str, LiveAnswer] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """Of answers that have ended, the oldest first."""
        self.held_bytes = 0
        """Bytes kept in this process."""

    def __len__(self) -> int:
        """Return the number of answers kept in this process."""
        return len(self._answers)

    @property
    def running(self) -> int:
        """Number of answers of this process that have not ended."""
        return len(self._answers) - len(self._timers)

    async def aclose(self) -> None:
        """Interrupt the answers that run in this process, and forget all."""
        answers = list(self._answers.values())
        for live in answers:
            live.interrupt()
        for live in answers:
            await live.ended()
        if self._mirror is not None:
            await self._mirror.aclose()
        for answer_id in list(self._answers):
            self._forget(answer_id)

    def begin(self, source: Source, dialect: str, at_end: AtEnd | None = None) -> LiveAnswer:
        """Return a new answer under a new id. Its first reader starts it."""
        live = LiveAnswer(
            source,
            dialect_named(dialect),
            answer_id=self._new_id(),
            most_bytes=self._max_answer_bytes,
            grace=self._grace,
            at_end=at_end,
            grown=self._weigh,
            over=self._note_end,
        )
        if live.answer_id is None or not is_answer_id(live.answer_id):
            raise ConfigurationError(
                f"new_id must return 16 to 64 letters, digits, hyphens or underscores, got {live.answer_id!r}"
            )
        self._answers[live.answer_id] = live
        if self._mirror is not None:
            self._mirror.own(live, dialect)
        return live

    async def reader(
        self, answer_id: str, after: int = 0, heartbeat: Heartbeat | None = None
    ) -> AnswerReader | RemoteReader | None:
        """Return a reader of the events after the number ``after``; None if there is no such answer, or no longer.

        None also if it has ended and the reader has all of it: an empty response would bring a browser back for ever.
        Raises APIConnectionError if Redis would have to be asked and cannot be.
        """
        after = max(0, min(after, _MOST_EVENTS))  # a number that a page sent
        live = self._answers.get(answer_id)
        if live is not None:
            has_all = after >= live.log.last
            if has_all and not live.running:
                return None
            return live.reader(live.log.last if has_all else after, heartbeat)
        if self._mirror is not None and is_answer_id(answer_id):
            return await self._mirror.reader(answer_id, after, heartbeat or Heartbeat())
        return None

    async def stop(self, answer_id: str) -> bool:
        """Stop an answer, at whatever process it runs; its readers are told. False if it is not known, or has ended.

        Raises APIConnectionError if Redis would have to be asked and cannot be.
        """
        live = self._answers.get(answer_id)
        if live is not None:
            running = live.running
            live.stop()
            return running
        return self._mirror is not None and is_answer_id(answer_id) and await self._mirror.stop(answer_id)

    def _weigh(self, live: LiveAnswer, change: int) -> None:
        self.held_bytes += change
        while self.held_bytes > self._max_bytes and self._timers:
            self._forget(next(iter(self._timers)))
        if self.held_bytes > self._max_bytes:
            before = live.log.held_bytes
            live.log.shrink(before - (self.held_bytes - self._max_bytes))
            self.held_bytes += live.log.held_bytes - before

    def _note_end(self, live: LiveAnswer) -> None:
        answer_id = live.answer_id or ""
        if answer_id in self._answers:
            loop = asyncio.get_running_loop()
            self._timers[answer_id] = loop.call_later(self._keep, self._forget, answer_id)

    def _forget(self, answer_id: str) -> None:
        timer = self._timers.pop(answer_id, None)
        if timer is not None:
            timer.cancel()
        live = self._answers.pop(answer_id, None)
        if live is not None:
            self.held_bytes -= live.log.held_bytes
