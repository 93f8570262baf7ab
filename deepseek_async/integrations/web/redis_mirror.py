"""Events of running answers in Redis, so that a reader may come back at another process.

Each answer has four keys ``deepseek-async:answer:ID:…``, which Redis expires: ``events``, a stream whose ids are event
numbers; ``state``, which the process that relays the answer renews; ``read``, how far a reader elsewhere is; and
``stop``, set by who wants it stopped. One task makes one round trip every 100 ms for all answers of the process; no
reader of this process waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from deepseek_async.configuration.redis_url import checked_redis, reason_of_redis
from deepseek_async.errors import APIConnectionError
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.dialects import dialect_named
from deepseek_async.integrations.web.error_replies import INTERRUPTED
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.live_answer import LiveAnswer

_LOG: Final = logging.getLogger("deepseek_async")

_TICK: Final = 0.1
_BLOCK: Final = 256 * 1024
_ALIVE: Final = 15
"""Seconds after which an answer whose process no longer says so is lost."""
_RENEW: Final = 5.0
_PRESENT: Final = 3_000
"""Milliseconds for which a reader elsewhere counts after it was last heard of."""
_SECONDS: Final = 2.0
"""Most that a round trip may take."""
_LOST: Final = 20.0
"""Seconds without Redis after which a reader elsewhere is told that the answer was interrupted."""


@dataclass(slots=True)
class _Owned:
    """An answer that this process relays."""

    live: LiveAnswer
    dialect: str
    sent: int = 0
    trimmed: int = 0
    renewed: float = 0.0


class RedisMirror:
    """Writes the answers of this process to Redis, and follows those of others. Bound to the running event loop."""

    def __init__(self, url: str, *, grace: float, keep: float) -> None:
        self._url = checked_redis("redis", url)
        self._keep = int(max(1, keep))
        self._running_seconds = _ALIVE + int(grace)
        self._owned: dict[str, _Owned] = {}
        self._readers: set[RemoteReader] = set()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None
        self._failing_since: float | None = None

    def own(self, live: LiveAnswer, dialect: str) -> None:
        """Begin to write ``live``."""
        assert live.answer_id is not None  # noqa: S101  for the type checker
        self._owned[live.answer_id] = _Owned(live, dialect)
        self._start()

    async def reader(self, answer_id: str, after: int, heartbeat: Heartbeat) -> RemoteReader | None:
        """Return a reader of an answer of another process; None if there is none, or nothing left of it to read.

        Raises APIConnectionError.
        """
        for _ in range(4):
            state = await self._ask(self._redis().get(_key(answer_id, "state")))
            if isinstance(state, bytes):
                if after and state.startswith(b"ended") and after >= await self._last(answer_id):
                    return None
                dialect = state.decode().partition(" ")[2]
                reader = RemoteReader(self, answer_id, after, heartbeat, dialect)
                self._readers.add(reader)
                self._start()
                return reader
            await asyncio.sleep(_TICK)  # it may have begun just now
        return None

    async def _last(self, answer_id: str) -> int:
        found = await self._ask(self._redis().xrevrange(_key(answer_id, "events"), count=1))
        return int(found[0][0].partition(b"-")[0]) if found else 0

    async def stop(self, answer_id: str) -> bool:
        """Ask the process that relays the answer to stop it; whether there is one. Raises APIConnectionError."""
        state = await self._ask(self._redis().get(_key(answer_id, "state")))
        if not isinstance(state, bytes) or not state.startswith(b"running"):
            return False
        await self._ask(self._redis().set(_key(answer_id, "stop"), b"1", ex=60))
        return True

    def leave(self, reader: RemoteReader) -> None:
        """Follow no longer."""
        self._readers.discard(reader)

    async def aclose(self) -> None:
        """Write what is left, within two seconds, and close the connection."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if self._client is not None:
            if self._owned:
                try:
                    async with asyncio.timeout(_SECONDS):
                        await self._exchange()
                except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
                    _LOG.warning("answers were not written to Redis: %s", reason_of_redis(error))
            client, self._client = self._client, None
            await client.aclose()

    def _redis(self) -> Any:
        if self._client is None:
            from redis.asyncio import Redis  # noqa: PLC0415  optional
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415

            self._client = Redis.from_url(
                self._url,
                socket_timeout=_SECONDS,
                socket_connect_timeout=_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        return self._client

    async def _ask(self, request: Any) -> Any:
        try:
            async with asyncio.timeout(_SECONDS):
                return await request
        except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
            reason = reason_of_redis(error)
        raise APIConnectionError(f"answers cannot be resumed without Redis: {reason}", reason="unreachable")

    def _start(self) -> None:
        self._work.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="answers in Redis")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            try:
                async with asyncio.timeout(_SECONDS):
                    await self._exchange()
                self._failing_since = None
            except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
                for one in self._owned.values():
                    one.sent, one.renewed = 0, 0.0  # Redis may have come back empty
                if self._failing_since is None:
                    self._failing_since = loop.time()
                    _LOG.warning("answers cannot be resumed at other processes: %s", reason_of_redis(error))
                elif loop.time() - self._failing_since > _LOST:
                    for reader in self._readers:
                        reader.lose()
                await asyncio.sleep(1.0)
            if not self._owned and not self._readers:
                self._work.clear()
            await asyncio.sleep(_TICK)

    async def _exchange(self) -> None:
        """Write, ask and read for all answers in one round trip."""
        now = asyncio.get_running_loop().time()
        owned = list(self._owned.items())
        present = list(self._readers)
        readers = [reader for reader in present if reader.hungry]
        pipe = self._redis().pipeline(transaction=False)
        told = [self._tell(pipe, answer_id, one, now) for answer_id, one in owned]
        asked = [(answer_id, one) for answer_id, one in owned if one.live.running]
        if asked:
            pipe.mget([_key(answer_id, kind) for answer_id, _ in asked for kind in ("stop", "read")])
        for reader in present:
            pipe.set(_key(reader.answer_id, "read"), reader.number, px=_PRESENT)
        for reader in readers:
            pipe.get(_key(reader.answer_id, "state"))
            pipe.xrange(_key(reader.answer_id, "events"), f"({reader.number}-0", "+", count=8)
        answers = await pipe.execute(raise_on_error=False)
        for answer in answers:
            # Events that were written although the reply was lost are written again under the same number.
            if isinstance(answer, Exception) and "equal or smaller" not in str(answer):
                raise answer
        # Noted only now: what was not written is written again.
        for (answer_id, one), (sent, ended) in zip(owned, told, strict=True):
            one.sent = sent
            if ended:
                self._owned.pop(answer_id, None)
        at = len(answers) - 2 * len(readers) - len(present) - bool(asked)
        if asked:
            words = answers[at]
            for position, (_, one) in enumerate(asked):
                stop, read = words[2 * position : 2 * position + 2]
                one.live.read_elsewhere(None if read is None else int(read))
                if stop is not None:
                    one.live.stop()
        for position, reader in enumerate(readers):
            state, found = answers[len(answers) - 2 * (len(readers) - position) :][:2]
            reader.take(state, found)

    def _tell(self, pipe: Any, answer_id: str, one: _Owned, now: float) -> tuple[int, bool]:
        """Write the news of one answer. Returns the last event written, and whether that was the end."""
        log, events = one.live.log, _key(answer_id, "events")
        frames = log.after(one.sent, _BLOCK) if log.has(one.sent) else log.after(log.dropped, _BLOCK)
        first = max(one.sent, log.dropped) + 1
        sent = first - 1 + len(frames)
        ended = log.ended and sent >= log.last
        if frames:
            pipe.xadd(events, {b"f": msgspec.msgpack.encode((first, frames))}, id=f"{sent}-0")
            pipe.expire(events, self._running_seconds + self._keep)
        if log.dropped > one.trimmed:
            pipe.xtrim(events, minid=f"{log.dropped + 1}-0", approximate=False)
            one.trimmed = log.dropped
        if ended:
            pipe.set(_key(answer_id, "state"), f"ended {one.dialect}", ex=self._keep)
        elif now - one.renewed > _RENEW or one.renewed == 0.0:
            pipe.set(_key(answer_id, "state"), f"running {one.dialect}", ex=self._running_seconds)
            one.renewed = now
        return sent, ended


class RemoteReader:
    """Reader of an answer that another process relays; see ``AnswerReader``."""

    def __init__(self, mirror: RedisMirror, answer_id: str, after: int, heartbeat: Heartbeat, dialect: str) -> None:
        self.answer_id = answer_id
        self.number = after
        """Last event that the reader has."""
        self.headers: Mapping[str, str] = dialect_named(dialect).headers
        self._dialect = dialect
        self._mirror = mirror
        self._heartbeat = heartbeat
        self._frames: list[bytes] = []
        self._handed = 0
        self._over = False
        self._lost = False
        self._begun = False
        self._news = asyncio.Event()

    @property
    def hungry(self) -> bool:
        """Whether everything that came was written."""
        return not self._frames and not self._handed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._mirror.leave(self)

    async def left(self) -> None:
        """See ``AnswerReader.left``: nothing runs here."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """See ``AnswerReader``."""
        self.number += self._handed
        self._handed = 0
        while True:
            if self._frames:
                frames, self._frames = self._frames, []
                self._handed, self._begun = len(frames), True
                return b"".join(frames)
            if self._lost:
                self._over, self._lost = True, False
                return b"".join(dialect_named(self._dialect).failed(INTERRUPTED))
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            try:
                async with asyncio.timeout(self._heartbeat.due(begun=self._begun)):
                    await self._news.wait()
            except TimeoutError:
                first, self._begun = not self._begun, True
                return sse.only_id(self.answer_id, self.number) if first else sse.HEARTBEAT

    def lose(self) -> None:
        """Tell the reader that the rest will not come."""
        if not self._over:
            self._lost = True
            self._news.set()

    def take(self, state: bytes | None, found: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Take what Redis has after ``number``."""
        expected = self.number + 1
        for _, fields in found:
            first, frames = msgspec.msgpack.decode(fields[b"f"], type=tuple[int, list[bytes]])
            if first > expected:  # dropped before this reader came
                self.lose()
                break
            self._frames += frames[expected - first :]
            expected = first + len(frames)
        if not found:
            if state is None:
                self.lose()
            elif state.startswith(b"ended"):
                self._over = True
        if self._frames or self._over:
            self._news.set()


def _key(answer_id: str, kind: str) -> str:
    return f"deepseek-async:answer:{answer_id}:{kind}"
