"""An answer on its way to its readers: one task reads it from the model, any number of readers follow."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self

from deepseek_async.errors import DeepSeekError
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.dialects import Dialect
from deepseek_async.integrations.web.ending import AtEnd, Ending
from deepseek_async.integrations.web.error_replies import INTERRUPTED, reply_to
from deepseek_async.integrations.web.event_log import BLOCK, EventLog
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.source import Source, answer_of, discard, opened, pieces_of
from deepseek_async.text.redaction import redact
from deepseek_async.types.json_text import write

LOG: Final = logging.getLogger("deepseek_async")

WINDOW: Final = BLOCK
"""Bytes that the fastest reader may be behind before the model is no longer read. TCP then slows the server down."""

_UNREAD: Final = 0.75
"""Part of the bound that is filled for nobody: the events of the next chunk still fit."""


class LiveAnswer:
    """One answer, read while it has readers, and for ``grace`` seconds after the last one has left.

    The model is read by one task, which the first reader starts. Leaving, by the last reader, closes the stream to the
    model in the same turn of the event loop if ``grace`` is 0.
    """

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        *,
        answer_id: str | None = None,
        most_bytes: int | None = None,
        grace: float = 0.0,
        at_end: AtEnd | None = None,
        grown: Callable[[LiveAnswer, int], None] | None = None,
        over: Callable[[LiveAnswer], None] | None = None,
    ) -> None:
        """``answer_id``, ``most_bytes`` and ``grace`` make it resumable: what has been read is kept, within the bound.

        ``grown`` is called with the change of the bytes held, and ``over`` at the end.
        """
        self.dialect = dialect
        self.answer_id = answer_id
        self.refusal: BaseException | None = None
        """The error of an answer of which nothing had arrived."""
        self.log = EventLog(sys.maxsize if most_bytes is None else most_bytes)
        self._most_bytes = most_bytes
        self._source: Source | None = source
        self._grace = grace
        self._at_end = at_end
        self._grown = grown
        self._at_over = over
        self._begun = False
        self._readers: list[AnswerReader] = []
        self._away: int | None = None
        """Last event that a reader at another process has; None without such a reader."""
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told_to_end = False
        self._interrupted = False
        self._leaving: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether the answer has not ended."""
        return not self.log.ended

    def reader(self, after: int = 0, heartbeat: Heartbeat | None = None) -> AnswerReader:
        """Attach a reader that has every event up to ``after``."""
        reader = AnswerReader(self, after, heartbeat or Heartbeat())
        self._readers.append(reader)
        self._look_at_readers()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="relayed answer")
        return reader

    def detach(self, reader: AnswerReader) -> None:
        """Let ``reader`` leave."""
        if reader in self._readers:
            self._readers.remove(reader)
            self._look_at_readers()

    def read_elsewhere(self, number: int | None) -> None:
        """Note how far a reader at another process is; None: there is none."""
        if number != self._away:
            self._away = number
            self._look_at_readers()

    def stop(self) -> None:
        """End the answer; its readers are told."""
        if self.running and not self._told_to_end:
            self._told_to_end = True
            # A task that is cancelled before its first step could not give up its source.
            if self._task is not None and self._source is None:
                self._task.cancel()

    def interrupt(self) -> None:
        """End the answer because the service ends; its readers are told that it failed."""
        self._interrupted = True
        self.stop()

    async def ended(self) -> None:
        """Wait until the stream to the model is closed."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def made_room(self) -> None:
        """Read on if the readers have caught up."""
        if self._most_bytes is None and self._readers:
            self.log.forget(self._readers[0].number)
        if not self._is_full():
            self._room.set()

    def _look_at_readers(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if not self._readers and self._away is None and self.running:
            if self._grace:
                self._leaving = asyncio.get_running_loop().call_later(self._grace, self.stop)
            else:
                self.stop()
        self.made_room()

    def _is_full(self) -> bool:
        if not self._readers and self._away is None:
            # Nobody reads: what comes is kept for who comes back, and reading ends before any of it would be dropped.
            return self.log.held_bytes >= _UNREAD * (self._most_bytes or 0)
        behind = [self.log.added_bytes - reader.taken_bytes for reader in self._readers]
        if self._away is not None:
            behind.append(self.log.bytes_after(self._away))
        return min(behind) > WINDOW

    async def _run(self) -> None:
        source, self._source = self._source, None
        assert source is not None  # noqa: S101  for the type checker: a task runs once
        stream: Any = None
        try:
            if self._told_to_end:
                await discard(source)
                raise asyncio.CancelledError  # noqa: TRY301  the same ending as later
            async with opened(source) as stream, pieces_of(stream, typed=self.dialect.typed) as pieces:
                async for piece in pieces:
                    self._add(self.dialect.event(piece))
                    while self._is_full():
                        self._room.clear()
                        await self._room.wait()
            self._finish(Ending(stream, answer_of(stream, whole=True)))
        except asyncio.CancelledError:
            self._finish(Ending(stream, answer_of(stream, whole=False), stopped=True))
            if not self._told_to_end:
                raise
        except Exception as error:  # noqa: BLE001  told to the readers
            self._finish(Ending(stream, answer_of(stream, whole=False), error))

    def _finish(self, ending: Ending) -> None:
        facts = self._facts_of(ending)
        if ending.error is not None:
            # Only the program's own log may have the error's words.
            said = redact(str(ending.error)) if isinstance(ending.error, DeepSeekError) else None
            LOG.warning("relayed answer failed: %s", said or "", exc_info=None if said else ending.error)
            if not self._begun:
                self.refusal = ending.error
            self._add(self.dialect.failed(reply_to(ending.error)))
        elif self._interrupted and ending.stopped:
            self._add(self.dialect.failed(INTERRUPTED))
        elif ending.stopped:
            self._add(self.dialect.stopped(facts))
        else:
            self._add(self.dialect.end(ending.answer, facts))
        self.log.ended = True
        if self._leaving is not None:
            self._leaving.cancel()
        if self._at_over is not None:
            self._at_over(self)
        self._tell()

    def _facts_of(self, ending: Ending) -> Mapping[str, Any]:
        at_end, self._at_end = self._at_end, None
        if at_end is None:
            return {}
        try:
            facts = {**(at_end(ending) or {})}
            write(facts)
        except Exception:
            # The answer is paid for: its reader gets it all the same.
            LOG.exception("at_end of a relayed answer failed, or returned what is no mapping of JSON values")
            return {}
        return facts

    def _add(self, frames: Iterable[bytes]) -> None:
        came = list(frames)
        if not came:
            return
        if not self._begun:
            self._begun = True
            came[:0] = self.dialect.begin()
        if self.answer_id is not None:
            came = list(self._numbered(came, self.answer_id))
        before = self.log.held_bytes
        self.log.add(came)
        if self._grown is not None:
            self._grown(self, self.log.held_bytes - before)
        self._tell()

    def _numbered(self, frames: Iterable[bytes], answer_id: str) -> Iterator[bytes]:
        for number, frame in enumerate(frames, self.log.last + 1):
            yield sse.with_id(frame, answer_id, number)

    def _tell(self) -> None:
        for reader in self._readers:
            reader.news.set()


class AnswerReader:
    """Iterates over blocks of events, and heartbeats where there is nothing to send. Leaves on ``with``.

    The first ``anext`` raises the answer's error if nothing of the answer has arrived and nothing was sent.
    """

    def __init__(self, live: LiveAnswer, after: int, heartbeat: Heartbeat) -> None:
        self.number = after
        """Last event that the reader has."""
        self.taken_bytes = live.log.added_bytes - live.log.bytes_after(after)
        self.news = asyncio.Event()
        self.headers = live.dialect.headers
        self.answer_id = live.answer_id
        self._live = live
        self._heartbeat = heartbeat
        self._begun = False
        self._over = False
        self._due = 0.0
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None
        self._handed: tuple[int, int] = 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._live.detach(self)

    async def left(self) -> None:
        """Wait, after leaving, until the stream to the model is closed if nobody else reads it."""
        if self.answer_id is None:
            await self._live.ended()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return what to write next. Call it when the last block was written: the model is read on then."""
        log = self._live.log
        self._note_written()
        while not self._over:
            if not log.has(self.number):
                return self._fall_behind()
            frames = log.after(self.number)
            if frames:
                if not self._begun and self._live.refusal is not None:
                    raise self._live.refusal
                self._begun = True
                block = b"".join(frames)
                self._handed = len(frames), len(block)
                return block
            if log.ended:
                break
            if await self._is_silent():
                return self._beat()
        raise StopAsyncIteration

    async def _is_silent(self) -> bool:
        """Wait for news; whether none came until a heartbeat is due."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + self._heartbeat.due(begun=self._begun)
        self._silent = False
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._look_at_time)
        self.news.clear()
        await self.news.wait()
        return self._silent

    def _look_at_time(self) -> None:
        # Armed again only when it fires: news come far more often than heartbeats.
        loop = asyncio.get_running_loop()
        self._timer = None
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._look_at_time)
        else:
            self._silent = True
            self.news.set()

    def _note_written(self) -> None:
        number, size = self._handed
        if number:
            self._handed = 0, 0
            self.number += number
            self.taken_bytes += size
            self._live.made_room()

    def _beat(self) -> bytes:
        first, self._begun = not self._begun, True
        if first and self.answer_id is not None:
            # A reader that is cut off before the first event can come back too.
            return sse.only_id(self.answer_id, self.number)
        return sse.HEARTBEAT

    def _fall_behind(self) -> bytes:
        """Return the end of what this reader gets: events that it needs were dropped."""
        self._over = True
        # An encoder of its own: the answer's is in the middle of it.
        return b"".join(type(self._live.dialect)().failed(INTERRUPTED))
