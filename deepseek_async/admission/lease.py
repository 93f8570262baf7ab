"""One word for how an attempt ended. What each ending means to each limit is written here only."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Charge
    from deepseek_async.admission.scope import Scope


class Blame(Enum):
    """Whom a failed attempt speaks against."""

    SERVICE = "service"
    """It answered wrongly or broke off: counts for the breaker of the model."""
    ORIGIN = "origin"
    """It could not be reached at all: counts for the breaker of the origin."""
    NOBODY = "nobody"


class Lease(msgspec.Struct, gc=False, eq=False):
    """The right to make one attempt. Ends exactly once; a second ending does nothing.

    | ending | window | breaker | reserved tokens | retry credit |
    |---|---|---|---|---|
    | ``served(usage)`` | ended | success | settled to the real usage | earned |
    | ``refused(…)``: 429 about concurrency | reading of the limit | - | given back | - |
    | ``throttled(…)``: 429 about the rate | a slower pace | - | given back | - |
    | ``declined()``: other 4xx | ended | - | given back | - |
    | ``faulted(…)``: 5xx, reset, timeout | ended, overload mark | failure | kept: the server may have worked | - |
    | ``abandoned(sent=…)``: we gave up | ended | - | given back only if nothing was sent | - |

    Reserved money, with a budget, is settled likewise; what each ending means to it is written in ``charge.py``.
    """

    scope: Scope
    _attempt: Any
    _tokens: int
    _bulk: bool
    _began: float
    open: bool = True
    """Whether the attempt is still running."""
    charge: Charge | None = None
    """The money held for it."""
    content: bool = False
    """Whether any content of an answer has come."""
    produced: int | None = None
    """Characters of a stream that had come when it ended early."""
    lost: bool = False
    """Whether the server may have billed it without anybody having been told: the law is that of the money held."""

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    def admitted(self) -> None:
        """The head of a good response arrived: the server has taken the attempt on."""
        if self.open:
            scope = self.scope
            now = scope.loop.time()
            scope.window.admitted(self._attempt, now)
            if scope.origin is not None and not scope.origin.closed:
                scope.reached(self._began, now)
            scope.slots.moved(now)

    def content_began(self) -> None:
        """The first content arrived."""
        if self.open:
            self.content = True
            scope = self.scope
            now = scope.loop.time()
            scope.window.first_content(self._attempt, now)
            scope.proven(self._began, now)

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """The attempt gave an answer, from ``model`` if the server named one."""
        if self.open:
            self.open = False
            if self.charge is not None:
                self.charge.served(usage, model)
            scope = self.scope
            now = scope.loop.time()
            scope.window.ended(self._attempt, now)
            scope.succeeded(self._began, now)
            scope.settle(self._tokens, usage.total_tokens if usage is not None else self._tokens)
            scope.slots.freed(now, bulk=self._bulk)

    def refused(
        self,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
    ) -> None:
        """The server refused the attempt because too many run; the numbers are those of its message."""
        if self.open:
            self.open = False
            if self.charge is not None:
                self.charge.refused()
            scope = self.scope
            now = scope.loop.time()
            scope.window.refused(self._attempt, now, limit=limit, current=current, balance_bound=balance_bound)
            if balance_bound and limit is not None and current is not None:
                scope.poor(limit, current)
            scope.reached(self._began, now)
            scope.neutral(self._attempt)
            scope.settle(self._tokens, 0)
            scope.slots.freed(now, bulk=self._bulk)

    def throttled(self, seconds: float) -> None:
        """The server refused the attempt because they come too fast, and wants none for ``seconds``."""
        if self.open:
            self.open = False
            if self.charge is not None:
                self.charge.refused()
            scope = self.scope
            now = scope.loop.time()
            scope.window.throttled(self._attempt, now, now + seconds)
            scope.reached(self._began, now)
            scope.neutral(self._attempt)
            scope.settle(self._tokens, 0)
            scope.slots.freed(now, bulk=self._bulk)

    def declined(self) -> None:
        """The server answered, and did nothing for the attempt."""
        if self.open:
            if self.charge is not None:
                self.charge.refused()
            self.scope.reached(self._began, self.scope.loop.time())
            self._end_neutral()
            self.scope.settle(self._tokens, 0)

    def faulted(
        self,
        *,
        overload: bool = False,
        blame: Blame = Blame.SERVICE,
        refused: bool = False,
        usage: CompletionUsage | None = None,
        model: str | None = None,
    ) -> None:
        """The attempt failed after the server may have begun; ``refused`` when it said by a status that it has not.

        ``usage`` is what the server billed all the same for ``model``, if it said so.
        """
        if self.open:
            self.open = False
            self.lost = usage is None and not refused and blame is not Blame.ORIGIN
            if self.charge is not None:
                if usage is not None:
                    self.charge.served(usage, model)
                elif refused or blame is Blame.ORIGIN:
                    self.charge.refused()
                else:
                    self.charge.faulted(self.produced)
            scope = self.scope
            now = scope.loop.time()
            scope.window.ended(self._attempt, now, failed=True, overload=overload)
            scope.failed(self._attempt, self._began, now, blame, bulk=self._bulk)
            if usage is not None:
                scope.settle(self._tokens, usage.total_tokens)
            scope.slots.freed(now, bulk=self._bulk)

    def abandoned(self, *, sent: bool, usage: CompletionUsage | None = None, model: str | None = None) -> None:
        """We gave the attempt up ourselves; ``usage`` is what ``model`` was billed for, if the server has said so."""
        if self.open:
            if self.charge is not None and usage is not None:
                self.charge.served(usage, model)
            elif self.charge is not None:
                self.charge.abandoned(sent=sent, produced=self.produced)
            self.lost = sent and usage is None
            self._end_neutral()
            if not sent:
                self.scope.unsent(self._tokens)

    def _end_neutral(self) -> None:
        self.open = False
        scope = self.scope
        now = scope.loop.time()
        scope.window.ended(self._attempt, now)
        scope.neutral(self._attempt)
        scope.slots.freed(now, bulk=self._bulk)
