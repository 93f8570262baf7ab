"""Prefix-aware scheduler: orders rows so that those with equal prefixes hit the server's cache. Pure.

Concurrent requests with the same cold prefix all miss: a cache unit exists only once the request that wrote it
has ended. So of the rows with a common prefix one goes first, the leader, and the others wait until it has ended,
while rows with other prefixes fill the slots. There is no planning pass: a row waits if, and only if,
a request in flight is about to add at least 256 more tokens of its prefix to the cache. A row without a shared
prefix is never held, and of nested prefixes (one system text, many documents) each level has its own leader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import msgspec

from deepseek_async.batch.schedule.prefix import WORTH_WAITING, Prefix, covered, hit_tokens

T = TypeVar("T")

HELD_ROWS: Final = 2048
HELD_BYTES: Final = 32 << 20
"""Maximum rows waiting for leaders, and bytes of their prompts: bounds look-ahead and memory. A job holds each
prompt twice, as read and as sent."""

_PATIENCE: Final = 3
"""Maximum waits of one row. If leader after leader fails, the others must not go one by one."""

_KNOWN_CHUNKS: Final = 1 << 14
_SAMPLE: Final = 20
_TRUST: Final = 0.5
_FADING: Final = 0.98
"""Ordering is disabled if, over the last 50 rows or so and at least 20, less than half of the predicted hits
occurred. DeepSeek's cache is best effort, and users have reported 40 % (DeepSeek-V3 issues 1261, 1465)."""


class Ticket(msgspec.Struct, Generic[T], eq=False, gc=False):
    """A queued row."""

    row: T
    prefix: Prefix
    shared: int = 0
    """Bytes of its prefix expected to be cached, set when it is sent."""
    held: int = 0


class PrefixScheduler(Generic[T]):
    """A queue of rows: ``add`` them, ``take`` the next that may be sent, and report each as ``ended``."""

    def __init__(self, *, held_rows: int = HELD_ROWS, held_bytes: int = HELD_BYTES) -> None:
        self._next: deque[Ticket[T]] = deque()
        self._held: dict[Ticket[T], list[Ticket[T]]] = {}
        self._held_rows = self._held_bytes = 0
        self._most_rows, self._most_bytes = held_rows, held_bytes
        self._warm = _Recent(_KNOWN_CHUNKS)
        self._warming: dict[int, Ticket[T]] = {}
        self._recent_predicted = self._recent_actual = 0.0
        self._judged = 0
        self.predicted = 0
        """Predicted hit tokens of the answered rows."""
        self.given_up = False
        """Whether predicted hits did not occur, and rows are now sent in input order."""

    def __len__(self) -> int:
        return len(self._next) + self._held_rows

    @property
    def full(self) -> bool:
        """Whether no more rows should be added because the hold limit is reached."""
        return self._held_rows >= self._most_rows or self._held_bytes >= self._most_bytes

    def add(self, row: T, prefix: Prefix) -> None:
        """Append a row to the queue."""
        self._next.append(Ticket(row, prefix))

    def take(self) -> Ticket[T] | None:
        """Return the next row that may be sent; None if there is none, or all wait for a leader."""
        while self._next:
            ticket = self._next.popleft()
            if not ticket.prefix.keys:
                return ticket  # too short to share, like most rows of most jobs
            leader = self._leader(ticket)
            if leader is None:
                self._send(ticket)
                return ticket
            ticket.held += 1
            self._held.setdefault(leader, []).append(ticket)
            self._held_rows += 1
            self._held_bytes += ticket.prefix.size
        return None

    def is_awaited(self, ticket: Ticket[T]) -> bool:
        """Whether other rows wait for it to end."""
        return ticket in self._held

    def ended(self, ticket: Ticket[T], *, answered: bool) -> None:
        """Report the end of a taken row. Without an answer its followers get another leader."""
        if answered:
            self._warm.add(ticket.prefix.keys)
        self._forget(ticket)

    def overdue(self, ticket: Ticket[T]) -> None:
        """Release the followers of a leader that takes too long; it may still end."""
        self._forget(ticket)

    def judge(self, ticket: Ticket[T], prompt_tokens: int, cached_tokens: int) -> int:
        """Compare the reported cache hits of a row with the prediction; return the predicted tokens."""
        promised = hit_tokens(ticket.shared, ticket.prefix.size, prompt_tokens)
        if promised:
            self.predicted += promised
            self._judged += 1
            self._recent_predicted = self._recent_predicted * _FADING + promised
            self._recent_actual = self._recent_actual * _FADING + min(cached_tokens, promised)
            if self._judged >= _SAMPLE and self._recent_actual < _TRUST * self._recent_predicted:
                self._give_up()
        return promised

    def _leader(self, ticket: Ticket[T]) -> Ticket[T] | None:
        """Return the row in flight that this one should wait for, or None."""
        if self.given_up or ticket.held >= _PATIENCE:
            return None
        keys = ticket.prefix.keys
        warm = self._warm_chunks(keys)
        coming = warm
        leader = None
        while coming < len(keys) and (warming := self._warming.get(keys[coming])) is not None:
            leader = warming
            coming += 1
        return leader if covered(coming) - covered(warm) >= WORTH_WAITING else None

    def _warm_chunks(self, keys: tuple[int, ...]) -> int:
        chunks = 0
        while chunks < len(keys) and keys[chunks] in self._warm:
            chunks += 1
        return chunks

    def _send(self, ticket: Ticket[T]) -> None:
        keys = ticket.prefix.keys
        warm = self._warm_chunks(keys)
        ticket.shared = covered(warm)
        for key in keys[warm:]:
            self._warming.setdefault(key, ticket)

    def _forget(self, ticket: Ticket[T]) -> None:
        for key in ticket.prefix.keys:
            if self._warming.get(key) is ticket:
                del self._warming[key]
        self._release(self._held.pop(ticket, ()))

    def _release(self, tickets: Iterable[Ticket[T]]) -> None:
        # At the front: the sooner a group follows its leader, the more likely its prefix is still cached.
        released = list(tickets)
        self._next.extendleft(reversed(released))
        self._held_rows -= len(released)
        self._held_bytes -= sum(ticket.prefix.size for ticket in released)

    def _give_up(self) -> None:
        self.given_up = True
        held, self._held = self._held, {}
        for tickets in held.values():
            self._release(tickets)


class _Recent:
    """An approximate LRU set that keeps between ``size`` and 2 * ``size`` keys."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, key: int) -> bool:
        if key in self._new:
            return True
        if key in self._old:
            self.add((key,))
            return True
        return False

    def add(self, keys: Iterable[int]) -> None:
        self._new.update(keys)
        if len(self._new) >= self._size:
            self._old, self._new = self._new, set()
