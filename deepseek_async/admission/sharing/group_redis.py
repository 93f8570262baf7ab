"""Group of processes on many machines: one Redis hash per account and model, updated by one script.

Calls never wait for Redis. While it is unreachable, each process continues with its last share; a Redis that returns
empty, or from a replica that was not up to date, is restored from the members' heartbeats (``group.py``). The first
member to return sends one attempt at a time for a second, because others may be missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final

from deepseek_async.admission.sharing.group import GroupTerms
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.configuration.redis_url import place_of, reason_of_redis

_LOG: Final = logging.getLogger("deepseek_async")

TERMS: Final = GroupTerms(lease=3000, gone=5000, quiet=1000)
"""Heartbeats are sent twice a second, and one or two may be lost. No replica takes over within a second."""

_PREFIX: Final = "deepseek-async:group:1:"
_KEPT: Final = 3600
"""Seconds without a heartbeat after which Redis expires a group."""
_PATIENCE: Final = 1.0
"""Seconds until a heartbeat counts as lost."""
_FAREWELL: Final = 0.1
"""Seconds that ``aclose`` waits for Redis."""

SCRIPT: Final = files("deepseek_async.admission.sharing").joinpath("group.lua").read_text("utf-8")
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

_TERMS: Final = (TERMS.lease, TERMS.gone, TERMS.quiet, _KEPT)


class RedisGroup:
    """Implements ``Rendezvous``. Bound to the running event loop; connects on first use."""

    where = "redis"
    process = ""
    answers_later = True

    def __init__(self, url: str, account: str) -> None:
        """``account`` is any identifier of the account; Redis receives its hash."""
        self._url = url
        self._account = account
        self._keys: dict[str, str] = {}
        self._redis: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._told = False

    @property
    def terms(self) -> GroupTerms:
        """Expiry times of silent members."""
        return TERMS

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called within a second; with None if Redis did not answer."""
        self._do(self._exchange(self._key(model), beat, answer))

    def leave(self, model: str, member: str) -> None:
        """End a membership, if Redis is reachable."""
        if self._redis is not None:
            self._do(self._leave(self._key(model), member))

    async def aclose(self) -> None:
        """Close the connection, within a tenth of a second."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FAREWELL)
        for task in self._tasks:
            task.cancel()
        redis, self._redis = self._redis, None
        if redis is not None:
            with suppress(Exception):  # a lost connection cannot be closed
                await redis.aclose()

    def _do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self, key: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        reply = None
        try:
            async with asyncio.timeout(_PATIENCE):
                reply = reply_of(await self._run(key, *_TERMS, *arguments_of(beat)))
        except Exception as error:  # noqa: BLE001  redis-py leaks socket and parser errors
            self._lost(error)
        else:
            self._found()
        answer(reply)

    async def _leave(self, key: str, member: str) -> None:
        with suppress(Exception):  # its lease expires anyway
            async with asyncio.timeout(_FAREWELL):
                await self._redis.hdel(key, member)

    async def _run(self, key: str, *arguments: str | int) -> Any:
        from redis.exceptions import MovedError, NoScriptError  # noqa: PLC0415  optional

        redis = self._redis
        if redis is None:
            redis = self._redis = _connected(self._url)
        try:
            return await redis.evalsha(_SHA, 1, key, *arguments)
        except NoScriptError:
            return await redis.eval(SCRIPT, 1, key, *arguments)
        except MovedError:
            # One node of a cluster was given, and another one holds this key.
            self._redis = _clustered(self._url)
            with suppress(Exception):
                await redis.aclose()
            return await self._run(key, *arguments)

    def _key(self, model: str) -> str:
        key = self._keys.get(model)
        if key is None:
            name = hashlib.sha256(f"{self._account}\0{model}".encode()).hexdigest()[:32]
            key = self._keys[model] = _PREFIX + name
        return key

    def _lost(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            reason = f"no answer in {_PATIENCE:g} s" if isinstance(error, TimeoutError) else reason_of_redis(error)
            _LOG.warning(
                "cannot share limits through %s, each process continues alone: %s", place_of(self._url), reason
            )

    def _found(self) -> None:
        if self._told:
            self._told = False
            _LOG.warning("limits shared through %s again", place_of(self._url))


def arguments_of(beat: Heartbeat) -> tuple[str | int, ...]:
    """Return the script arguments of a heartbeat."""
    return (
        *(beat.member, beat.number, beat.in_flight, beat.people, beat.bulk, beat.most, beat.sent, beat.taken),
        *(beat.refused, beat.told, beat.limit, beat.current, beat.share, beat.held, beat.heard_at, beat.window),
        *(beat.ceiling, beat.heard, beat.apart_until),
    )


def reply_of(answer: list[int]) -> Reply:
    """Parse the script's answer."""
    share, window, ceiling, leads, members, moving, gathers, *rest = answer
    apart_until, now, in_flight, sent, taken, refused, told, limit, current = rest
    return Reply(
        share=share,
        window=window,
        ceiling=ceiling,
        leads=bool(leads),
        members=members,
        moving=bool(moving),
        gathers=bool(gathers),
        apart_until=apart_until,
        now=now,
        in_flight=in_flight,
        sent=sent,
        taken=taken,
        refused=refused,
        told=told,
        limit=limit,
        current=current,
    )


def _connected(url: str) -> Any:
    from redis.asyncio import Redis  # noqa: PLC0415  optional
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return Redis.from_url(
        url,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )


def _clustered(url: str) -> Any:
    from redis.asyncio.cluster import RedisCluster  # noqa: PLC0415

    return RedisCluster.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
