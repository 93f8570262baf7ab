"""Lease of one attempt: maps each kind of ending to its effect on every limit. The only place that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from deepseek_async.admission.model_limits import Blame, ModelLimits
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from deepseek_async.admission.budget.charge import Reservation


class Lease(msgspec.Struct, gc=False, eq=False):
    """Permission for one attempt. Ends exactly once; ending it again has no effect.

    | ending | concurrency limit | breaker | reserved tokens | retry credit |
    |---|---|---|---|---|
    | ``served(usage)`` | ended | success | settled to actual usage | earned |
    | ``refused(…)``: 429, concurrency | measurement of the limit | - | returned | - |
    | ``throttled(…)``: 429, rate | slower pace | - | returned | - |
    | ``declined()``: other 4xx | ended | - | returned | - |
    | ``faulted(…)``: 5xx, reset, timeout | ended, overload mark | failure | kept: the server may have worked | - |
    | ``abandoned(sent=…)``: cancelled by the client | ended | - | returned only if nothing was sent | - |

    Money reserved in a budget is settled in the same way; ``charge.py`` defines the effect of each ending on it.
    """

    limits: ModelLimits
    _attempt: Any
    _tokens: int
    _bulk: bool
    _began: float
    open: bool = True
    """Whether the attempt is still running."""
    charge: Reservation | None = None
    """Money held for the attempt."""
    content: bool = False
    """Whether any content of an answer has arrived."""
    produced: int | None = None
    """Characters received of a stream that ended early."""
    lost: bool = False
    """Whether the server may have billed the attempt without reporting it; follows the rule for held money."""

    # A struct's default repr would expose the server's data in tracebacks with locals.
    __repr__ = object.__repr__

    def admitted(self) -> None:
        """Record a successful response head: the server accepted the attempt."""
        if self.open:
            limits = self.limits
            now = limits.loop.time()
            limits.window.admitted(self._attempt, now)
            breaker = limits.origin.breaker
            if breaker is not None and not breaker.closed:
                limits.origin.reached(self._began, now)
            limits.queue.moved(now)

    def content_began(self) -> None:
        """Record the first content."""
        if self.open:
            self.content = True
            limits = self.limits
            now = limits.loop.time()
            limits.window.first_content(self._attempt, now)
            limits.proven(self._began, now)

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """End with an answer, from ``model`` if the server named one."""
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
        """End with a refusal for concurrency; the numbers are those of the server's message."""
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
        """End with a refusal for the request rate; nothing may be sent for ``seconds``."""
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
        """End with a response that declined the request."""
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
        """End with a failure after the server may have started work; ``refused`` if a status rules that out.

        ``usage`` is what the server nevertheless billed for ``model``, if reported.
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
        """End an attempt that the client cancelled; ``usage`` is what ``model`` was billed for, if reported."""
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
