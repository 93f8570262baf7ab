"""Group of the processes of a Ray cluster: a named actor and its clients.

The first process creates the actor, which ends with its creator: the others then create a new one and rejoin, as after
any loss of a group. Nothing remains on the cluster when it is unused.
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
"""A heartbeat may take a second on a busy cluster."""
NAMESPACE: Final = "deepseek_async"
_PATIENCE: Final = 2.0
"""Seconds until a heartbeat counts as lost."""
_PAUSE: Final = 1.0
"""Seconds between two attempts to find the actor."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_beat: Final = msgspec.msgpack.Decoder(Heartbeat).decode
_decode_reply: Final = msgspec.msgpack.Decoder(Reply).decode


class GroupActor:
    """Actor with the groups of an account, by model, on its own clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, Group] = {}

    def exchange(self, model: str, beat: bytes) -> bytes:
        """Process a heartbeat."""
        group = self._groups.setdefault(model, Group())
        return _encode(step(group, _decode_beat(beat), int(1000 * self._clock()), TERMS))

    def leave(self, model: str, member: str) -> None:
        """End a membership."""
        leave(self._groups.setdefault(model, Group()), member)


class RayGroup:
    """Implements ``Rendezvous``. Raises ConfigurationError if Ray is missing or this process is not in a cluster."""

    where = "ray"
    process = ""
    answers_later = True

    def __init__(self, account: str) -> None:
        """``account`` is any identifier of the account; it is not stored."""
        self._ray = _connected_ray()
        self._name = f"group-{hashlib.sha256(account.encode()).hexdigest()[:32]}"
        self._hall: Any = None
        self._search: threading.Thread | None = None
        self._again_at = 0.0
        self._told = False

    @property
    def terms(self) -> GroupTerms:
        """Expiry times of silent members."""
        return TERMS

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        """Send one heartbeat. ``answer`` is called once; with None if the actor does not answer within two seconds."""
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
            """Callback on a Ray thread."""
            failure = future.exception()
            if failure is not None:
                self._lost(failure)
            with suppress(RuntimeError):  # the loop may be closed
                loop.call_soon_threadsafe(end, None if failure is not None else future.result())

        try:
            self._hall.exchange.remote(model, _encode(beat)).future().add_done_callback(told)
        except Exception as failure:  # noqa: BLE001  no Ray error may fail a call
            self._lost(failure)
            end(None)

    def leave(self, model: str, member: str) -> None:
        """End a membership."""
        with suppress(Exception):
            if self._hall is not None:
                self._hall.leave.remote(model, member)

    async def aclose(self) -> None:
        """Release the actor; it ends if this process created it."""
        self._hall = None

    def _look_for_hall(self) -> None:
        """Find or create the actor, on a thread, because Ray blocks on its head node."""
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
        except Exception as failure:  # noqa: BLE001  no Ray error may fail a call
            self._lost(failure)

    def _lost(self, failure: BaseException) -> None:
        self._hall = None
        if not self._told:
            self._told = True
            reason = str(failure).partition("\n")[0] or type(failure).__name__
            _LOG.warning("Ray actor for shared limits does not answer, reconnecting: %s", reason)


class _Asked:
    """A heartbeat in progress."""

    def __init__(self, answer: Callable[[Reply | None], None]) -> None:
        self._answer: Callable[[Reply | None], None] | None = answer

    def end(self, reply: Reply | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(reply)


def _connected_ray() -> Any:
    try:
        import ray  # noqa: PLC0415  takes a second, needed only for shared="ray"
    except ImportError:
        raise ConfigurationError(
            'shared="ray" requires the extra ray: pip install "deepseek-async[ray]"; or use shared="machine"'
        ) from None
    if not ray.is_initialized():
        raise ConfigurationError(
            'shared="ray" requires a Ray cluster, and this process is not connected to one: call ray.init() first, or '
            'use shared="machine"'
        )
    return ray
