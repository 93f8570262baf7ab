"""The group of the processes of a Ray cluster: a named actor that keeps it, and what asks the actor.

Whoever comes first makes the actor, and it ends with its maker: the others then make another, to which all come back,
as after any loss of a group. Nothing is put on the cluster that stays when nobody uses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from deepseek_async.admission.sharing.group import Group, GroupTerms, leave, step
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.errors import ConfigurationError

_LOG: Final = logging.getLogger("deepseek_async")

TERMS: Final = GroupTerms(lease=3000, gone=6000)
"""A heartbeat may take a second where the cluster is busy."""
NAMESPACE: Final = "deepseek_async"
_PATIENCE: Final = 2.0
"""Seconds until a heartbeat counts as lost."""
_PAUSE: Final = 1.0
"""Seconds between two attempts to find the actor."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_beat: Final = msgspec.msgpack.Decoder(Heartbeat).decode
_decode_reply: Final = msgspec.msgpack.Decoder(Reply).decode


class GroupActor:
    """What the actor is: the groups of an account, by model, on its own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, Group] = {}

    def exchange(self, model: str, beat: bytes) -> bytes:
        """Take in a heartbeat."""
        group = self._groups.setdefault(model, Group())
        return _encode(step(group, _decode_beat(beat), int(1000 * self._clock()), TERMS))

    def leave(self, model: str, member: str) -> None:
        """A member ends its membership."""
        leave(self._groups.setdefault(model, Group()), member)


class RayGroup:
    """See ``Meeting``. Raises ConfigurationError where Ray is not installed, or this process belongs to no cluster."""

    where = "ray"
    process = ""
    answers_later = True

    def __init__(self, account: str) -> None:
        """``account`` is whatever tells accounts apart; it is not written down."""
        self._ray = _connected_ray()
        self._name = f"group-{hashlib.sha256(account.encode()).hexdigest()[:32]}"
        self._hall: Any = None
        self._search: threading.Thread | None = None
        self._again_at = 0.0
        self._told = False

    @property
    def terms(self) -> GroupTerms:
        """How long a silent member counts."""
        return TERMS

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called once; with None if the actor does not answer in two seconds."""
        if self._hall is None:
            self._look_for_hall()
            answer(None)
            return
        loop = asyncio.get_running_loop()
        asked = _Asked(answer)
        timer = loop.call_later(_PATIENCE, asked.end, None)

        def end(wire: bytes | None) -> None:
            timer.cancel()
            asked.end(None if wire is None else _decode_reply(wire))

        def told(future: Any) -> None:
            """In a thread of Ray's."""
            failure = future.exception()
            if failure is not None:
                self._lost(failure)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end, None if failure is not None else future.result())

        try:
            self._hall.exchange.remote(model, _encode(beat)).future().add_done_callback(told)
        except Exception as failure:  # noqa: BLE001  whatever Ray raises, calls go on
            self._lost(failure)
            end(None)

    def leave(self, model: str, member: str) -> None:
        """End a membership."""
        with suppress(Exception):
            if self._hall is not None:
                self._hall.leave.remote(model, member)

    async def aclose(self) -> None:
        """Give the actor up; it ends if this process made it."""
        self._hall = None

    def _look_for_hall(self) -> None:
        """Find or make the actor, in a thread, because Ray waits for its head meanwhile."""
        now = time.monotonic()
        if now < self._again_at or (self._search is not None and self._search.is_alive()):
            return
        self._again_at = now + _PAUSE
        self._search = threading.Thread(target=self._find_hall, name="ray-group", daemon=True)
        self._search.start()

    def _find_hall(self) -> None:
        try:
            hall = self._ray.remote(GroupActor).options(
                name=self._name, namespace=NAMESPACE, get_if_exists=True, num_cpus=0, max_restarts=-1
            )
            self._hall = hall.remote()
        except Exception as failure:  # noqa: BLE001  whatever Ray raises, calls go on
            self._lost(failure)

    def _lost(self, failure: BaseException) -> None:
        self._hall = None
        if not self._told:
            self._told = True
            reason = str(failure).partition("\n")[0] or type(failure).__name__
            _LOG.warning("the Ray actor that shares limits does not answer, and is looked for again: %s", reason)


class _Asked:
    """A heartbeat under way."""

    def __init__(self, answer: Callable[[Reply | None], None]) -> None:
        self._answer: Callable[[Reply | None], None] | None = answer

    def end(self, reply: Reply | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(reply)


def _connected_ray() -> Any:
    try:
        import ray  # noqa: PLC0415  a second, and only for who shares over it
    except ImportError:
        raise ConfigurationError(
            'shared="ray" needs the extra ray: pip install "deepseek-async[ray]", or share by "machine"'
        ) from None
    if not ray.is_initialized():
        raise ConfigurationError(
            'shared="ray" is for processes of a Ray cluster, and this one belongs to none: call ray.init() before, or '
            'share by "machine"'
        )
    return ray
