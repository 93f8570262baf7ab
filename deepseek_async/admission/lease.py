"""One word for how an attempt ended. What each ending means to each limit is written here only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deepseek_async.admission.model_limits import Blame, ModelLimits
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget import Charge


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

    limits: ModelLimits
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
            limits = self.limits
            now = limits.loop.time()
            limits.window.admitted(self._attempt, now)
            breaker = limits.origin.breaker
            if breaker is not None and not breaker.closed:
                limits.origin.reached(self._began, now)
            limits.queue.moved(now)

    def content_began(self) -> None:
        """The first content arrived."""
        if self.open:
            self.content = True
            limits = self.limits
            now = limits.loop.time()
            limits.window.first_content(self._attempt, now)
            limits.proven(self._began, now)

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """The attempt gave an answer, from ``model`` if the server named one."""
        if self.open:
            self.open = False
            if self.charge is not None:
                self.charge.served(usage, model)
            limits = self.limits
            now = limits.loop.time()
            limits.window.ended(self._attempt, now)
            limits.succeeded(self._began, now)
            limits.settle(self._tokens, usage.total_tokens if usage is not None else self._tokens)
            limits.queue.freed(now, bulk=self._bulk)

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
            limits = self.limits
            now = limits.loop.time()
            limits.window.refused(self._attempt, now, limit=limit, current=current, balance_bound=balance_bound)
            if balance_bound and limit is not None and current is not None:
                limits.poor(limit, current)
            limits.origin.reached(self._began, now)
            limits.neutral(self._attempt)
            limits.settle(self._tokens, 0)
            limits.queue.freed(now, bulk=self._bulk)

    def throttled(self, seconds: float) -> None:
        """The server refused the attempt because they come too fast, and wants none for ``seconds``."""
        if self.open:
            self.open = False
            if self.charge is not None:
                self.charge.refused()
            limits = self.limits
            now = limits.loop.time()
            limits.window.throttled(self._attempt, now, now + seconds)
            limits.origin.reached(self._began, now)
            limits.neutral(self._attempt)
            limits.settle(self._tokens, 0)
            limits.queue.freed(now, bulk=self._bulk)

    def declined(self) -> None:
        """The server answered, and did nothing for the attempt."""
        if self.open:
            if self.charge is not None:
                self.charge.refused()
            self.limits.origin.reached(self._began, self.limits.loop.time())
            self._end_neutral()
            self.limits.settle(self._tokens, 0)

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
            limits = self.limits
            now = limits.loop.time()
            limits.window.ended(self._attempt, now, failed=True, overload=overload)
            limits.failed(self._attempt, self._began, now, blame, bulk=self._bulk)
            if usage is not None:
                limits.settle(self._tokens, usage.total_tokens)
            limits.queue.freed(now, bulk=self._bulk)

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
                self.limits.unsent(self._tokens)

    def _end_neutral(self) -> None:
        self.open = False
        limits = self.limits
        now = limits.loop.time()
        limits.window.ended(self._attempt, now)
        limits.neutral(self._attempt)
        limits.queue.freed(now, bulk=self._bulk)
